//! The files that a containerd of its own is started with.

use std::path::Path;

/// Where Debian puts the network's plugins.
pub(super) const PLUGINS: &str = "/usr/lib/cni";
/// The addresses of pods with a network of their own.
const SUBNET: &str = "10.56.0.0/24";

/// `config.toml`. `restricted` where the machine may not lower OOM scores: a sandbox' -998 would
/// end in a runc that dies without a word.
pub(super) fn containerd(home: &Path, pause: &str, runc: &Path, restricted: bool) -> String {
    let home = home.display();
    let runc = runc.display();
    format!(
        r#"version = 2
root = "{home}/root"
state = "{home}/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{home}/c.sock"
[ttrpc]
  address = "{home}/c.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{home}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = {restricted}
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{home}/cni"
"#
    )
}

/// A bridge of `network`, with host ports.
pub(super) fn bridge(home: &Path, network: &str) -> String {
    let data = home.join("ipam");
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": network,
        "plugins": [
            {
                "type": "bridge",
                "bridge": "rig0",
                "isGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": data,
                    "ranges": [[{"subnet": SUBNET}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}
