//! The command line's grammar.

use std::{ffi::OsString, net::IpAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::{
    asking::{Describe, Exec, Get, Logs, Restart, SOCKET, StopAll, Where},
    values::{Header, duration},
};
use crate::sizes::bytes;

/// Static pods without a kubelet.
#[derive(Debug, Parser)]
#[command(
    name = "staticpodd",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 sound, 1 problems were found, or the agent would not, 2 usage, or something cannot be read or written, 3 the agent cannot start or had to end."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the pods of a directory or a URL, on a runtime that speaks CRI
    #[command(
        long_about = "Run the pods of a directory or a URL, on a runtime that speaks CRI.\n\n\
        Runs as root, until SIGTERM or SIGINT. Pods go on running after that; the next start finds them. The flags \
        have a kubelet's names and meanings. The log is JSON lines on standard error."
    )]
    Run(Box<Run>),
    /// Say what is wrong or unwise in manifests, without touching a runtime
    #[command(
        long_about = "Say what is wrong or unwise in manifests, without touching a runtime.\n\n\
        Errors are what keeps a pod from running as a static pod: syntax, unknown fields, what the \
        Kubernetes API would refuse, references to objects of an API server, other kinds than Pod, \
        two manifests of one pod, files and directories that others can write to. Warnings are advice. Files that an agent \
        would not look at are listed as notes.\n\n\
        Run it as the user that the agent runs as, on its machine; elsewhere with --no-host."
    )]
    Check(Check),
    /// Show pods, or files of manifests, of the running agent
    Get(Get),
    /// Show all about a pod
    Describe(Describe),
    /// Show the log of a container
    Logs(Logs),
    /// Run a command in a container; its exit code becomes this one's
    Exec(Exec),
    /// Restart a pod, or one of its containers
    Restart(Restart),
    /// Stop all pods, the lowest priority first, and start none
    #[command(
        long_about = "Stop all pods, the lowest priority first, each group completely before the next, and start none.\n\n\
        Returns when everything is stopped. The agent goes on; start-all takes this back, and so does the next start of the agent."
    )]
    StopAll(StopAll),
    /// Start pods again, after stop-all
    StartAll(Where),
    /// Show version and commit
    Version {
        /// Form of the report
        #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
        output: Form,
    },
    /// Print a completion script
    #[command(visible_alias = "completions")]
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Print this message or the help of a command
    Help {
        /// The command
        command: Vec<String>,
    },
    /// Write a generated document of this repository
    #[command(hide = true)]
    Generate {
        /// Which
        document: Document,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// File with a KubeletConfiguration; flags win over it, and what has no effect is named in the log
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub(crate) config: Option<PathBuf>,
    /// Directory of manifests, or one file; an empty value is none [default: /etc/kubernetes/manifests]
    #[arg(long, value_name = "PATH", value_parser = path)]
    pub(crate) pod_manifest_path: Option<PathBuf>,
    /// URL of a Pod or a PodList
    #[arg(long, value_name = "URL")]
    pub(crate) manifest_url: Option<String>,
    /// Headers to send with each request for it; other users may see arguments, so rather an address that needs none
    #[arg(long, value_name = "NAME:VALUE", value_delimiter = ',', value_parser = Header::parse)]
    pub(crate) manifest_url_header: Vec<Header>,
    /// Certificates of the authorities that may vouch for the URL's host [default: the system's]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) manifest_url_ca_file: Option<PathBuf>,
    /// Allow a plain http URL of another host
    #[arg(long)]
    pub(crate) insecure_manifest_url: bool,
    /// Name of the node, which becomes the end of the pods' names [default: the host's name]
    #[arg(long, alias = "node-name", value_name = "NAME", value_parser = node)]
    pub(crate) hostname_override: Option<String>,
    /// Socket of the runtime [default: unix:///run/containerd/containerd.sock]
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) container_runtime_endpoint: Option<String>,
    /// Between two full looks at the directory, which is watched besides [default: 20s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) file_check_frequency: Option<Duration>,
    /// Between two requests for the URL [default: 20s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) http_check_frequency: Option<Duration>,
    /// Directory of the agent: its memory, and the volumes of pods
    #[arg(long, value_name = "DIR", default_value = "/var/lib/staticpodd")]
    pub(crate) root_dir: PathBuf,
    /// Directory of the pods' logs; links to them lie in a directory `containers` beside it
    /// [default: /var/log/pods]
    #[arg(long, value_name = "DIR")]
    pub(crate) pod_logs_dir: Option<PathBuf>,
    /// Size from which the log of a container is rotated [default: 10Mi]
    #[arg(long, value_name = "QUANTITY", value_parser = bytes)]
    pub(crate) container_log_max_size: Option<u64>,
    /// Files of a container's log, with the one that is written to; at least 2 [default: 5]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) container_log_max_files: Option<u32>,
    /// Per cent of the images' disk in use from which unused ones are removed; 100 is never [default: 85]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) image_gc_high_threshold: Option<u8>,
    /// Per cent of the images' disk in use until which they are removed [default: 80]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) image_gc_low_threshold: Option<u8>,
    /// Time for which an image stays in any case [default: 2m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) minimum_image_ttl_duration: Option<Duration>,
    /// Address for the pages over HTTP [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub(crate) healthz_bind_address: Option<IpAddr>,
    /// Port for /healthz, /metrics and the page for people; 0 is none [default: 10245]
    #[arg(long, value_name = "PORT")]
    pub(crate) healthz_port: Option<u16>,
    /// Port for /pods, where everybody on this machine can read all that manifests say; 0 is none [default: 0]
    #[arg(long, value_name = "PORT")]
    pub(crate) read_only_port: Option<u16>,
    /// Socket on which get, describe, logs, exec, restart and stop-all ask this agent
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub(crate) socket: PathBuf,
    /// Addresses of the node [default: where its packets to elsewhere come from]
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub(crate) node_ip: Vec<IpAddr>,
    /// Addresses of the cluster's DNS
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub(crate) cluster_dns: Vec<IpAddr>,
    /// The cluster's domain
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) cluster_domain: Option<String>,
    /// Stop the static pods that a kubelet left on the runtime, one by one, and run their manifests here
    ///
    /// Refused while a kubelet runs on the same runtime. Pods of an API server are not touched.
    #[arg(long)]
    pub(crate) take_over: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Files, directories, http(s) URLs, or - for standard input
    ///
    /// Of a directory, the files that an agent would read are checked, and the others are listed.
    #[arg(required = true, value_name = "FILE|DIR|URL|-", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) places: Vec<OsString>,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: Output,
    /// Say only what is wrong, not what is unwise
    #[arg(long)]
    pub(crate) no_advice: bool,
    /// Let a warning fail the check
    #[arg(long, conflicts_with = "no_advice")]
    pub(crate) strict: bool,
    /// The manifests are meant for another machine
    ///
    /// Host paths, owners, modes and the host's name are not judged.
    #[arg(long)]
    pub(crate) no_host: bool,
    /// Name of the node, which becomes the end of the pods' names; --node-name is the same
    /// [default: the host's name]
    #[arg(long, alias = "node-name", value_name = "NAME", value_parser = node)]
    pub(crate) hostname_override: Option<String>,
    /// Allow plain http URLs of other hosts
    #[arg(long)]
    pub(crate) insecure_manifest_url: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// For programs, with a stable shape
    Json,
    /// SARIF 2.1.0, for code scanning and editors
    Sarif,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people
    #[default]
    Text,
    /// For programs, with a stable shape
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Document {
    /// docs/man/staticpodd.1
    Man,
    /// docs/man/staticpodd-check.1
    ManCheck,
    /// docs/man/staticpodd-run.1
    ManRun,
    /// docs/man/staticpodd-get.1
    ManGet,
    /// docs/man/staticpodd-describe.1
    ManDescribe,
    /// docs/man/staticpodd-logs.1
    ManLogs,
    /// docs/man/staticpodd-exec.1
    ManExec,
    /// docs/man/staticpodd-restart.1
    ManRestart,
    /// docs/man/staticpodd-stop-all.1
    ManStopAll,
    /// docs/man/staticpodd-start-all.1
    ManStartAll,
    /// docs/staticpodd-reports.schema.json
    ReportsSchema,
}

/// Any path, also none.
#[expect(
    clippy::unnecessary_wraps,
    reason = "what a parser of the command line gives"
)]
fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

/// As kubelets have it: trimmed, in lower case, and a DNS subdomain.
fn node(text: &str) -> Result<String, String> {
    let name = text.trim().to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err("a node's name is made of letters, digits, - and .".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn names_of_nodes_are_taken_as_a_kubelet_takes_them() {
        for (text, name) in [("Node-1", "node-1"), (" a.example ", "a.example")] {
            assert_eq!(node(text).unwrap(), name);
        }
        for text in ["", "a b", "a_b", "-a", "a-", "a..b", ".a"] {
            assert!(node(text).is_err(), "{text}");
        }
    }
}
