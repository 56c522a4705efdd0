//! What runs under valgrind: one path, warmed up outside the counting and called inside it.

use tokio::runtime::{Builder, Runtime};

use crate::{
    fault::Fault,
    paths::{HotPath, Round},
    stand::Stand,
};

/// Rounds before the counting: pools, tables and lazy values are filled by then.
const WARM_UP: usize = 10;
/// Calls that are counted, about. What happens once or differs from run to run, such as the
/// seeds of hash tables, evens out.
const CALLS: usize = 400;

/// Rounds that are counted.
pub(crate) fn rounds(path: &HotPath) -> usize {
    CALLS / path.calls
}

/// Calls `path`. Ordinary code, also without valgrind.
pub(crate) fn run(path: &HotPath) -> Result<(), Fault> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::Stand("the runtime", error.into()))?;
    let stand = Stand::set(&runtime)?;
    let make = |numbers: std::ops::Range<usize>| -> Vec<Round> {
        numbers.map(|number| (path.round)(&stand, number)).collect()
    };
    let (warm_up, counted) = (make(0..WARM_UP), make(WARM_UP..WARM_UP + rounds(path)));
    let before = stand.memory.sent();
    let mut good = runtime.block_on(all(warm_up));
    good += counted_calls(&runtime, counted);
    let sent = stand.memory.sent() - before;
    stand.strike(&runtime);
    let rounds = WARM_UP + rounds(path);
    let wanted = path.calls * rounds;
    if good != wanted {
        return Err(Fault::WrongAnswers(wanted - good, wanted, path.name));
    }
    let asked = path.requests * rounds as u64;
    if sent != asked {
        return Err(Fault::WrongRequests {
            name: path.name,
            sent,
            asked,
        });
    }
    Ok(())
}

/// Valgrind counts from the entry of this function to its end, and knows it by its name.
#[inline(never)]
fn counted_calls(runtime: &Runtime, rounds: Vec<Round>) -> usize {
    runtime.block_on(all(rounds))
}

/// The name, as valgrind matches it.
pub(crate) const COUNTED: &str = "*::counted_calls";

async fn all(rounds: Vec<Round>) -> usize {
    let mut good = 0;
    for round in rounds {
        good += round.await;
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::PATHS;

    #[test]
    fn every_path_is_answered_and_asks_openbao_as_often_as_it_says() {
        for path in &PATHS {
            run(path).unwrap();
        }
    }

    #[test]
    fn a_path_that_asks_openbao_more_often_than_it_says_is_no_path() {
        let [_, encrypt, ..] = &PATHS;
        let wrong = HotPath {
            requests: 0,
            ..*encrypt
        };
        assert!(matches!(
            run(&wrong),
            Err(Fault::WrongRequests { asked: 0, .. })
        ));
    }
}
