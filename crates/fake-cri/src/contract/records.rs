//! Logs and images: what stays on the disk.

use std::{fs, path::PathBuf, time::Duration};

use cri::{Fault, v1::ContainerState};

use super::ground::{Ground, Pod, container, eventually, refused, words};

/// The parts of a line: stream, whether it is whole, text.
fn lines(log: &str) -> Vec<(String, String, String)> {
    log.lines()
        .map(|line| {
            let mut parts = line.splitn(4, ' ');
            let time = parts.next().unwrap_or_default();
            assert!(time.parse::<jiff::Timestamp>().is_ok(), "{line}");
            let mut next = || parts.next().unwrap_or_default().to_owned();
            (next(), next(), next())
        })
        .collect()
}

pub(super) async fn a_log_has_a_line_for_each_line(ground: &dyn Ground) {
    let pod = Pod::run(ground, "logs").await;
    let status = pod.ended("web", &["out=one", "out=two", "exit=0"]).await;
    assert_eq!(
        PathBuf::from(&status.log_path),
        PathBuf::from(&pod.config.log_directory).join("web.log")
    );
    pod.says("web", "two").await;
    let line =
        |stream: &str, tag: &str, text: &str| (stream.to_owned(), tag.to_owned(), text.to_owned());
    assert_eq!(
        lines(&pod.log("web")),
        [line("stdout", "F", "one"), line("stdout", "F", "two")]
    );
    pod.ended("fault", &["err=oh", "exit=1"]).await;
    pod.says("fault", "oh").await;
    assert_eq!(lines(&pod.log("fault")), [line("stderr", "F", "oh")]);
    pod.ended("raw", &["raw=end", "exit=0"]).await;
    pod.says("raw", "end").await;
    assert_eq!(
        lines(&pod.log("raw")),
        [line("stdout", "P", "end")],
        "no end of line came"
    );
    pod.ended("long", &["fill=40000", "out=end"]).await;
    pod.says("long", "end").await;
    let parts: Vec<(String, usize)> = lines(&pod.log("long"))
        .into_iter()
        .map(|(_, tag, text)| (tag, text.len()))
        .collect();
    let part = |tag: &str, length: usize| (tag.to_owned(), length);
    let expected = [
        part("P", 16384),
        part("P", 16384),
        part("F", 40000 - 2 * 16384),
        part("F", 3),
    ];
    assert_eq!(parts, expected);
    pod.remove().await;
}

pub(super) async fn a_log_has_the_folder_that_its_path_names(ground: &dyn Ground) {
    let pod = Pod::run(ground, "folders").await;
    let mut config = container(ground, "web", &["out=up", "hang"]);
    config.log_path = "web/0.log".to_owned();
    let id = pod.create(config).await.expect("created");
    ground
        .runtime()
        .start_container(&id)
        .await
        .expect("the folder is made");
    pod.says("web/0", "F up").await;
    pod.remove().await;
}

pub(super) async fn a_log_is_opened_anew_when_asked(ground: &dyn Ground) {
    let pod = Pod::run(ground, "rotates").await;
    let id = pod.start("web", &["tick=20"]).await;
    pod.says("web", "F 1\n").await;
    let path = PathBuf::from(&pod.config.log_directory).join("web.log");
    let renamed = path.with_extension("log.1");
    fs::rename(&path, &renamed).expect("a log can be renamed");
    let runtime = ground.runtime();
    runtime
        .reopen_container_log(&id)
        .await
        .expect("it is opened anew");
    pod.says("web", "stdout F ").await;
    let first = lines(&pod.log("web"))
        .first()
        .map(|(_, _, text)| text.clone());
    let last = lines(&fs::read_to_string(renamed).expect("the old log"));
    let last = last.last().map(|(_, _, text)| text.clone());
    let number = |text: Option<String>| {
        text.and_then(|text| text.parse::<u64>().ok())
            .expect("a number")
    };
    assert_eq!(number(first), number(last) + 1, "nothing is lost between");
    runtime
        .stop_container(&id, Duration::ZERO)
        .await
        .expect("it stops");
    let fault = refused(runtime.reopen_container_log(&id).await, "it has ended");
    assert!(matches!(fault.fault, Fault::Refused { .. }), "{fault}");
    pod.remove().await;
}

pub(super) async fn words_of_the_image_are_replaced_as_asked(ground: &dyn Ground) {
    let pod = Pod::run(ground, "words").await;
    let runtime = ground.runtime();
    let id = pod.start("args", &["out=args", "env=COLOUR"]).await;
    pod.end_of(&id).await;
    pod.says("args", "F blue").await;
    let mut config = container(ground, "command", &[]);
    config.command = words(&["/workload", "out=command"]);
    let id = pod.create(config).await.expect("created");
    runtime.start_container(&id).await.expect("started");
    let status = pod.end_of(&id).await;
    assert_eq!(status.exit_code, 0, "the image's own arguments are dropped");
    pod.says("command", "F command").await;
    let id = pod.start("neither", &[]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        pod.state(&id).await,
        ContainerState::ContainerRunning,
        "the image says hang"
    );
    pod.remove().await;
}

pub(super) async fn an_image_is_known_by_name_digest_and_id(ground: &dyn Ground) {
    let runtime = ground.runtime();
    let pinned = ground.import("registry.local/known:1");
    let by_name = runtime
        .image_status("registry.local/known:1")
        .await
        .expect("images");
    let by_name = by_name.expect("it is there");
    let by_digest = runtime.image_status(&pinned).await.expect("images");
    assert_eq!(by_digest.expect("it is there").id, by_name.id);
    let by_id = runtime
        .image_status(&by_name.id)
        .await
        .expect("images")
        .expect("it is there");
    assert_eq!(by_id.repo_tags, ["registry.local/known:1"]);
    assert_eq!(by_id.repo_digests, std::slice::from_ref(&pinned));
    assert!(by_id.size > 0);
    let all = runtime.list_images().await.expect("images");
    assert!(all.iter().any(|image| image.id == by_name.id));
    for nobody in [
        "registry.local/nobody:1",
        &"registry.local/nobody@sha256:00".replace("00", &"0".repeat(64)),
    ] {
        assert_eq!(
            runtime.image_status(nobody).await.expect("images"),
            None,
            "{nobody}"
        );
    }
    runtime
        .remove_image("registry.local/known:1")
        .await
        .expect("it is removed");
    for name in ["registry.local/known:1", &pinned, &by_name.id] {
        let left = runtime.image_status(name).await.expect("images");
        assert_eq!(left, None, "{name}: every name goes");
    }
    runtime
        .remove_image("registry.local/known:1")
        .await
        .expect("to remove twice is to remove");
}

pub(super) async fn an_image_that_is_removed_serves_who_has_it(ground: &dyn Ground) {
    let runtime = ground.runtime();
    ground.import("registry.local/used:1");
    let pod = Pod::run(ground, "used").await;
    let config = |name: &str| {
        let mut config = container(ground, name, &["out=up", "hang"]);
        config.image = Some(cri::v1::ImageSpec {
            image: "registry.local/used:1".to_owned(),
            ..cri::v1::ImageSpec::default()
        });
        config
    };
    let id = pod.create(config("web")).await.expect("created");
    runtime.start_container(&id).await.expect("started");
    runtime
        .remove_image("registry.local/used:1")
        .await
        .expect("it is removed");
    pod.says("web", "up").await;
    assert_eq!(pod.state(&id).await, ContainerState::ContainerRunning);
    let fault = refused(pod.create(config("next")).await, "the image is gone");
    assert!(fault.is_not_found(), "{fault}");
    ground.import("registry.local/used:1");
    let next = pod.create(config("next")).await.expect("it is back");
    runtime.start_container(&next).await.expect("started");
    pod.remove().await;
    runtime
        .remove_image("registry.local/used:1")
        .await
        .expect("it is removed");
}

pub(super) async fn a_registry_that_is_down_is_an_answer(ground: &dyn Ground) {
    let runtime = ground.runtime();
    // Nobody listens on the first port.
    let image = "127.0.0.1:1/nobody:1";
    let fault = eventually("a pull ends", async || {
        Some(runtime.pull_image(image, None).await)
    })
    .await;
    let fault = refused(fault, "no registry");
    assert!(matches!(fault.fault, Fault::Refused { .. }), "{fault}");
    assert_eq!(fault.subject, image);
    assert_eq!(runtime.image_status(image).await.expect("images"), None);
}
