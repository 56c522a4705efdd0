use super::*;
use crate::fixtures::pod;
use serde_json::{Value, json};

fn spec(init: Value, containers: Value) -> api::PodSpec {
    let mut spec = json!({});
    spec["initContainers"] = init;
    spec["containers"] = containers;
    pod("p", spec).api.spec.unwrap()
}

fn with(requests: Value, limits: Value) -> Value {
    let mut container = json!({"name": "c"});
    container["resources"]["requests"] = requests;
    container["resources"]["limits"] = limits;
    container
}

#[test]
fn the_class_is_the_worst_that_any_container_allows() {
    let none = json!({});
    let cpu = json!({"cpu": "100m"});
    let both = json!({"cpu": "100m", "memory": "100Mi"});
    let same = json!({"cpu": "0.1", "memory": "102400Ki"});
    let less = json!({"cpu": "100m", "memory": "50Mi"});
    let zero = json!({"cpu": "0", "memory": "0"});
    let other = json!({"ephemeral-storage": "1Gi"});
    for (containers, expected) in [
        (json!([with(none.clone(), none.clone())]), Class::BestEffort),
        (json!([with(zero.clone(), zero)]), Class::BestEffort),
        (json!([with(other.clone(), other)]), Class::BestEffort),
        (json!([with(both.clone(), both.clone())]), Class::Guaranteed),
        (json!([with(same, both.clone())]), Class::Guaranteed),
        (
            json!([
                with(both.clone(), both.clone()),
                with(both.clone(), both.clone())
            ]),
            Class::Guaranteed,
        ),
        (json!([with(less, both.clone())]), Class::Burstable),
        (json!([with(none.clone(), both.clone())]), Class::Burstable),
        (json!([with(cpu.clone(), cpu.clone())]), Class::Burstable),
        (json!([with(cpu, none.clone())]), Class::Burstable),
        (
            json!([
                with(both.clone(), both.clone()),
                with(none.clone(), none.clone())
            ]),
            Class::Burstable,
        ),
    ] {
        assert_eq!(
            class(&spec(json!([]), containers.clone())),
            expected,
            "{containers}"
        );
    }
    let with_init = spec(
        json!([with(none.clone(), none)]),
        json!([with(both.clone(), both)]),
    );
    assert_eq!(class(&with_init), Class::Burstable);
}

#[test]
fn a_pod_uses_what_runs_at_the_same_time() {
    let cpu =
        |milli: i64| json!({"name": "c", "resources": {"requests": {"cpu": format!("{milli}m")}}});
    let sidecar = |milli: i64| {
        let mut container = cpu(milli);
        container["restartPolicy"] = "Always".into();
        container
    };
    let silent = || json!({"name": "c"});
    for (init, containers, expected) in [
        (json!([]), json!([silent()]), None),
        (json!([]), json!([cpu(0)]), Some(0)),
        (json!([]), json!([cpu(100), cpu(50), silent()]), Some(150)),
        (json!([cpu(100)]), json!([cpu(50)]), Some(100)),
        (
            json!([cpu(100), cpu(70)]),
            json!([cpu(50), cpu(80)]),
            Some(130),
        ),
        (json!([sidecar(10), cpu(100)]), json!([cpu(50)]), Some(110)),
        (json!([cpu(100), sidecar(10)]), json!([cpu(50)]), Some(100)),
        (
            json!([sidecar(10), sidecar(20)]),
            json!([cpu(50)]),
            Some(80),
        ),
        (
            json!([sidecar(10), cpu(30), sidecar(40), cpu(60)]),
            json!([cpu(5)]),
            Some(110),
        ),
        (json!([sidecar(10)]), json!([silent()]), Some(10)),
    ] {
        let spec = spec(init.clone(), containers.clone());
        let of = |container: &api::Container| requested(container, "cpu").map(Amount::ceil_milli);
        assert_eq!(effective(&spec, of), expected, "{init} {containers}");
    }
}
