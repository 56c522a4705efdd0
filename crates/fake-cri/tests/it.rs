//! Containerd against the contract.
#[test]
fn rig() {
    let t = std::time::Instant::now();
    for network in [fake_cri::containerd::Network::Machine, fake_cri::containerd::Network::Bridge] {
        let rig = fake_cri::containerd::Rig::start(network).unwrap();
        eprintln!("started {:?}", t.elapsed());
        eprintln!("{}", rig.ctr(&["images", "ls"]).unwrap());
        rig.kill_containerd();
        rig.start_containerd().unwrap();
        eprintln!("again {:?}", t.elapsed());
        rig.reboot().unwrap();
        eprintln!("reboot {:?}", t.elapsed());
        eprintln!("{}", rig.log().lines().filter(|l| l.contains("level=error") || l.contains("level=warn")).collect::<Vec<_>>().join("\n"));
    }
    eprintln!("gone {:?}", t.elapsed());
}
