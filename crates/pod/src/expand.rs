//! `$(NAME)` in commands, arguments, environments and sub-paths.
//!
//! `$$` is one `$` and suppresses expansion, so that `$$(NAME)` is `$(NAME)`. What is not closed
//! stays as it is.

/// Expands a text; a name that `value_of` does not know stays as it is written.
pub fn expand(text: &str, value_of: impl Fn(&str) -> Option<String>) -> String {
    replace(text, |name| {
        value_of(name).unwrap_or_else(|| format!("$({name})"))
    })
}

/// Expands a text in which every name must be known.
///
/// # Errors
///
/// The first unknown name.
pub fn expand_all(text: &str, value_of: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut missing = None;
    let expanded = replace(text, |name| {
        value_of(name).unwrap_or_else(|| {
            let _ = missing.get_or_insert_with(|| name.to_owned());
            String::new()
        })
    });
    missing.map_or(Ok(expanded), Err)
}

fn replace(text: &str, mut value_of: impl FnMut(&str) -> String) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let reference = after.strip_prefix('(').map(|inner| inner.split_once(')'));
        if let Some(Some((name, behind))) = reference {
            expanded.push_str(&value_of(name));
            rest = behind;
        } else if let Some(behind) = after.strip_prefix('$') {
            expanded.push('$');
            rest = behind;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value_of(name: &str) -> Option<String> {
        let value = match name {
            "VAR_A" => "A",
            "VAR_B" => "B",
            "VAR_C" => "C",
            "VAR_REF" => "$(VAR_A)",
            "VAR_EMPTY" => "",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn texts_expand_as_the_api_documents() {
        for (text, expanded) in [
            ("$(VAR_A)", "A"),
            ("___$(VAR_B)___", "___B___"),
            ("___$(VAR_C)", "___C"),
            ("$(VAR_A)-$(VAR_A)", "A-A"),
            ("$(VAR_A)-1", "A-1"),
            ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
            ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
            ("$$(VAR_A)_$$(VAR_B)", "$(VAR_A)_$(VAR_B)"),
            ("f000-$$VAR_A", "f000-$VAR_A"),
            ("foo\\$(VAR_C)bar", "foo\\Cbar"),
            ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"),
            ("foo\\\\\\\\$(VAR_A)bar", "foo\\\\\\\\Abar"),
            ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
            ("$(VAR_A$(VAR_B)$(VAR_C)", "$(VAR_A$(VAR_B)C"),
            ("$VAR_A", "$VAR_A"),
            ("${VAR_A}", "${VAR_A}"),
            ("$(VAR_REF)", "$(VAR_A)"),
            ("%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"),
            ("foo$(VAR_EMPTY)bar", "foobar"),
            ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
            ("f00__(VAR_A)__", "f00__(VAR_A)__"),
            ("$?_boo_$!", "$?_boo_$!"),
            ("$VAR_A$(VAR_A)", "$VAR_AA"),
            ("$(VAR_DNE)", "$(VAR_DNE)"),
            ("$$$$$$(BIG_MONEY)", "$$$(BIG_MONEY)"),
            ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
            ("$$$$$$$(GOOD_ODDS)", "$$$$(GOOD_ODDS)"),
            ("$$$$$$$(VAR_A)", "$$$A"),
            ("$VAR_A)", "$VAR_A)"),
            ("${VAR_A)", "${VAR_A)"),
            ("(VAR_B)______$(A", "(VAR_B)______$(A"),
            ("$", "$"),
            ("$$", "$"),
            ("$(", "$("),
            ("$()", "$()"),
            ("é$(VAR_A)é$é", "éAé$é"),
        ] {
            assert_eq!(expand(text, value_of), expanded, "{text}");
        }
    }

    #[test]
    fn a_path_of_an_unknown_name_is_an_error_that_names_it() {
        assert_eq!(
            expand_all("a/$(VAR_A)/$$(X)", value_of),
            Ok("a/A/$(X)".into())
        );
        assert_eq!(expand_all("$(NO)/$(NEITHER)", value_of), Err("NO".into()));
    }

    proptest! {
        #[test]
        fn what_holds_no_dollar_stays(text in "[^$]{0,40}") {
            prop_assert_eq!(expand(&text, value_of), text);
        }

        #[test]
        fn doubled_dollars_keep_any_text(text in "[$(A-C_)é]{0,40}") {
            prop_assert_eq!(expand(&text.replace('$', "$$"), value_of), text);
        }
    }
}
