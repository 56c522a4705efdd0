//! What a typing error most likely meant.

/// The known name that a typing error most likely meant.
#[must_use]
pub fn closest<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    let fold = |name: &str| name.to_ascii_lowercase().replace(['-', '_'], "");
    let typed = fold(typed);
    names
        .iter()
        .map(|name| (distance(&typed, &fold(name)), *name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 2 && *distance * 3 <= name.len())
        .map(|(_, name)| name)
}

/// Levenshtein's distance, over bytes and one row at a time. Names are short; a key of a
/// mebibyte is not compared.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > 64 {
        return usize::MAX / 8;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, from) in left.bytes().enumerate() {
        let mut diagonal = at;
        let mut last = at + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(right.bytes()) {
            let best = (diagonal + usize::from(from != to))
                .min(last + 1)
                .min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            last = best;
        }
    }
    row.last().copied().unwrap_or_default()
}
