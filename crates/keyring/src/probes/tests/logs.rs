//! What the log says, and how often.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt as _};

use super::*;
use crate::probes::ask::ASSOCIATED_DATA;

#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    pub(super) fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .with_writer(self.clone());
        let info = LevelFilter::INFO;
        tracing::subscriber::set_default(tracing_subscriber::registry().with(info).with(layer))
    }

    pub(super) fn with(&self, event: &str) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let message = format!("\"message\":\"{event}\"");
        let lines = text.lines().filter(|line| line.contains(&message));
        lines.map(str::to_owned).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn changes_are_reported_once_and_equal_failures_ever_more_rarely() {
    let lines = Lines::default();
    let guard = lines.capture();
    let world = World::healthy().await;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.pass(300).await;
    for event in ["rotation.pending", "rotation.stable", "rotation.promoted"] {
        let found = lines.with(event);
        assert_eq!(found.len(), 1, "{event}: {found:?}");
        assert!(found[0].contains(&snapshot(2).key_id.hash()));
        assert!(!found[0].contains(snapshot(2).key_id.as_str()));
    }
    assert_eq!(
        lines.with("status.probe").len(),
        0,
        "successes are for debug"
    );
    let changed = lines.with("status.changed");
    assert!(changed.len() <= 3, "one per set of reasons: {changed:?}");
    assert!(changed.last().unwrap().contains("\"healthz\":\"ok\""));
    for line in &changed {
        assert!(line.contains("\"level\":\"INFO\""), "a good start: {line}");
    }
    world.transit.script().down = Some(error(Class::Sealed));
    world.pass(3600).await;
    let changed = lines.with("status.changed");
    let last = changed.last().unwrap();
    assert!(changed.len() <= 5 && last.contains("metadata_stale"));
    for words in [
        "\"level\":\"WARN\"",
        "metadata probe: openbao_sealed: transit_decrypt: scripted",
    ] {
        assert!(last.contains(words), "{words} is not in {last}");
    }
    let probes = lines.with("status.probe");
    assert!((8..=18).contains(&probes.len()), "{}", probes.len());
    let openbao_sealed = "\"error_class\":\"openbao_sealed\"";
    assert!(probes.iter().all(|line| line.contains(openbao_sealed)));
    drop(guard);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_start_is_a_warning_as_soon_as_something_is_wrong() {
    let lines = Lines::default();
    let guard = lines.capture();
    let mut world = World::new(Some(first()));
    world.transit.script().down = Some(error(Class::Sealed));
    world.start(settings());
    world.pass(30).await;
    let changed = lines.with("status.changed");
    let [before, after] = changed.as_slice() else {
        panic!("one line before the first failure and one after it: {changed:?}")
    };
    for (line, level, words) in [
        (before, "INFO", "the first probes are under way"),
        (after, "WARN", "metadata probe: openbao_sealed: "),
    ] {
        assert!(line.contains(&format!("\"level\":\"{level}\"")), "{line}");
        assert!(line.contains(words), "{line}");
    }
    drop(guard);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_probe_said_is_shown_while_it_fails_but_not_what_may_name_a_file() {
    let world = World::healthy().await;
    let reason = |world: &World| world.view.load().metadata.reason.clone();
    assert_eq!(reason(&world), None);
    world.transit.script().down = Some(error(Class::Sealed));
    world.pass(31).await;
    assert_eq!(
        reason(&world).unwrap().as_ref(),
        "transit_decrypt: scripted"
    );
    world.transit.script().down = Some(error(Class::AuthFailed));
    world.pass(61).await;
    let shown = reason(&world).unwrap();
    assert!(
        !shown.contains("scripted") && shown.contains("auth.login"),
        "{shown}"
    );
    world.transit.script().down = None;
    world.pass(61).await;
    assert_eq!(reason(&world), None);
    world.end().await.unwrap();
}

#[test]
fn the_associated_data_of_probes_is_the_documented_text() {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<usize> = ASSOCIATED_DATA
        .trim_end_matches('=')
        .bytes()
        .map(|b| DIGITS.iter().position(|digit| *digit == b).unwrap())
        .collect();
    let text: Vec<u8> = bits
        .chunks(4)
        .flat_map(|four| {
            let joined = four.iter().fold(0, |sum, six| (sum << 6) | six) << (6 * (4 - four.len()));
            let bytes = [16, 8, 0].map(|shift| u8::try_from((joined >> shift) & 255).unwrap());
            bytes.into_iter().take(four.len() - 1)
        })
        .collect();
    assert_eq!(text, b"openbao-kubernetes-kms/status-probe/v1");
}
