//! What the agent is run with: the command line over the configuration file over what is usual.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf, absolute},
    time::Duration,
};

use cri::Endpoint;
use manifests::address::Address;

use super::arguments::Run;
use crate::{
    collecting, host,
    kubelet_config::{Besides, Configuration},
    pages::Addresses,
    run::Settings,
};

/// What a kubelet has unless it is told otherwise; but the directory of manifests is kubeadm's,
/// and that of the agent its own.
const FOLDER: &str = "/etc/kubernetes/manifests";
const LOGS: &str = "/var/log/pods";
const ENDPOINT: &str = "unix:///run/containerd/containerd.sock";
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Beside those of a kubelet and a control plane.
const HEALTH_PORT: u16 = 10245;
const PERIOD: Duration = Duration::from_secs(20);

/// Puts them together.
///
/// # Errors
/// A sentence about what does not fit.
pub(super) fn settings(arguments: &Run, file: Configuration) -> Result<Settings, String> {
    let whole = |path: &Path| absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = match (&arguments.pod_manifest_path, file.folder) {
        (Some(path), _) => Some(path.clone()).filter(|path| !path.as_os_str().is_empty()),
        (None, folder) => folder.or_else(|| Some(PathBuf::from(FOLDER))),
    };
    let insecure = arguments.insecure_manifest_url;
    let site = match (&arguments.manifest_url, &file.url) {
        (Some(url), _) if url.is_empty() => None,
        (Some(url), _) => Some(Address::parse(url, insecure).map_err(|error| error.to_string())?),
        (None, Some(url)) => Some(
            Address::parse(url, insecure)
                .map_err(|error| format!("staticPodURL of the configuration: {error}"))?,
        ),
        (None, None) => None,
    };
    if folder.is_none() && site.is_none() {
        return Err("there is neither a --pod-manifest-path nor a --manifest-url".to_owned());
    }
    let endpoint = match (&arguments.container_runtime_endpoint, &file.endpoint) {
        (Some(text), _) => Endpoint::parse(text).map_err(|error| error.to_string()),
        (None, Some(text)) => Endpoint::parse(text)
            .map_err(|error| format!("containerRuntimeEndpoint of the configuration: {error}")),
        (None, None) => Endpoint::parse(ENDPOINT).map_err(|error| error.to_string()),
    };
    let headers = arguments.manifest_url_header.iter();
    let headers: Vec<_> = headers
        .map(|header| (header.name.clone(), header.value()))
        .collect();
    let cluster_dns = match arguments.cluster_dns.as_slice() {
        [] => &file.cluster_dns,
        _ => &arguments.cluster_dns,
    };
    let domain = arguments.cluster_domain.clone().or(file.cluster_domain);
    let logs = arguments.pod_logs_dir.clone().or(file.logs);
    let or_usual = |flag: Option<Duration>, file: Option<Duration>| flag.or(file).unwrap_or(PERIOD);
    Ok(Settings {
        folder: folder.as_deref().map(whole),
        site,
        headers: if headers.is_empty() {
            file.headers
        } else {
            headers
        },
        site_ca: arguments.manifest_url_ca_file.as_deref().map(whole),
        node: arguments
            .hostname_override
            .clone()
            .unwrap_or_else(host::name),
        endpoint: endpoint?,
        folder_period: or_usual(arguments.file_check_frequency, file.folder_period),
        site_period: or_usual(arguments.http_check_frequency, file.site_period),
        root: whole(&arguments.root_dir),
        logs: whole(&logs.unwrap_or_else(|| PathBuf::from(LOGS))),
        ips: arguments.node_ip.clone(),
        cluster_dns: cluster_dns.iter().map(ToString::to_string).collect(),
        cluster_domain: domain.unwrap_or_default().trim_end_matches('.').to_owned(),
        resolv_conf: file
            .resolv_conf
            .unwrap_or_else(|| PathBuf::from(RESOLV_CONF)),
        seccomp_default: file.seccomp_default,
        unsafe_sysctls: file.unsafe_sysctls,
        driver: file.driver,
        take_over: arguments.take_over,
        pulls: if file.one_pull { Some(1) } else { file.pulls },
        log_limits: log_limits(arguments, file.upkeep),
        image_limits: image_limits(arguments, file.upkeep)?,
        socket: whole(&arguments.socket),
        pages: pages(arguments, file.upkeep),
        idle: file.idle,
        notify_socket: std::env::var_os("NOTIFY_SOCKET"),
    })
}

fn log_limits(arguments: &Run, file: Besides) -> launch::logs::Limits {
    let usual = launch::logs::Limits::default();
    let files = arguments.container_log_max_files.or(file.log_files);
    let files = files.and_then(|files| usize::try_from(files).ok());
    launch::logs::Limits {
        bytes: arguments
            .container_log_max_size
            .or(file.log_size)
            .unwrap_or(usual.bytes),
        files: files.unwrap_or(usual.files),
    }
}

fn image_limits(arguments: &Run, file: Besides) -> Result<collecting::Limits, String> {
    let usual = collecting::Limits::default();
    let high = arguments.image_gc_high_threshold.or(file.images_high);
    let low = arguments.image_gc_low_threshold.or(file.images_low);
    let least_age = arguments
        .minimum_image_ttl_duration
        .or(file.images_least_age);
    let limits = collecting::Limits {
        high: high.unwrap_or(usual.high),
        low: low.unwrap_or(usual.low),
        least_age: least_age.unwrap_or(usual.least_age),
        most_idle: file.images_most_idle.unwrap_or(usual.most_idle),
    };
    if limits.low >= limits.high {
        return Err(format!(
            "images are removed from {} % of their disk in use until {} %: the second must be lower",
            limits.high, limits.low
        ));
    }
    Ok(limits)
}

fn pages(arguments: &Run, file: Besides) -> Addresses {
    let bind = arguments.healthz_bind_address.or(file.bind);
    let health = arguments.healthz_port.or(file.health_port);
    let pods = arguments.read_only_port.or(file.pods_port);
    Addresses {
        bind: bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        health: health.unwrap_or(HEALTH_PORT),
        pods: pods.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::arguments::{Arguments, Command};

    fn together(words: &str, file: Configuration) -> Result<Settings, String> {
        let line = format!("staticpodd run {words}");
        let arguments = Arguments::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Run(run) = arguments.command else {
            panic!("another command");
        };
        settings(&run, file)
    }

    fn file() -> Configuration {
        Configuration {
            folder: Some("/file".into()),
            url: Some("https://file.example/".into()),
            folder_period: Some(Duration::from_secs(5)),
            logs: Some("/file/logs".into()),
            endpoint: Some("unix:///file.sock".into()),
            cluster_dns: vec![[10, 0, 0, 1].into()],
            cluster_domain: Some("file.example.".into()),
            ..Configuration::default()
        }
    }

    /// Folder, URL, endpoint, period, logs, DNS, domain.
    fn shown(settings: &Settings) -> String {
        let Settings {
            folder,
            site,
            endpoint,
            folder_period,
            logs,
            cluster_dns,
            cluster_domain,
            ..
        } = settings;
        let folder = folder.as_deref().unwrap_or(Path::new("-")).display();
        let site = site.as_ref().map_or("-".to_owned(), ToString::to_string);
        let (seconds, logs) = (folder_period.as_secs(), logs.display());
        let dns = cluster_dns.join(",");
        format!("{folder} {site} {endpoint} {seconds} {logs} {dns} {cluster_domain}")
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_what_is_usual() {
        let usual =
            "/etc/kubernetes/manifests - unix:///run/containerd/containerd.sock 20 /var/log/pods  ";
        let settings = together("", Configuration::default()).ok().unwrap();
        assert_eq!(shown(&settings), usual);
        let settings = together("", file()).ok().unwrap();
        assert_eq!(
            shown(&settings),
            "/file https://file.example/ unix:///file.sock 5 /file/logs 10.0.0.1 file.example"
        );
        let flags = "--pod-manifest-path /flag --manifest-url https://flag.example/ \
            --container-runtime-endpoint unix:///flag.sock --file-check-frequency 7s \
            --pod-logs-dir /flag/logs --cluster-dns 10.0.0.2 --cluster-domain flag.example";
        let settings = together(&flags.replace('\\', " "), file()).ok().unwrap();
        assert_eq!(
            shown(&settings),
            "/flag https://flag.example/ unix:///flag.sock 7 /flag/logs 10.0.0.2 flag.example"
        );
        let settings = together("--manifest-url=", file()).ok().unwrap();
        assert!(settings.site.is_none());
    }

    #[test]
    fn what_the_file_says_wrongly_is_named_as_the_files() {
        let url = Configuration {
            url: Some("http://host.example/".into()),
            ..Configuration::default()
        };
        let why = together("", url).err().unwrap();
        assert!(
            why.starts_with("staticPodURL of the configuration"),
            "{why}"
        );
        let endpoint = Configuration {
            endpoint: Some("tcp://a:1".into()),
            ..Configuration::default()
        };
        let why = together("", endpoint).err().unwrap();
        assert!(why.starts_with("containerRuntimeEndpoint of the"), "{why}");
    }

    #[test]
    fn logs_images_and_pages_follow_flag_and_file_too() {
        let file = || Configuration {
            upkeep: Besides {
                log_size: Some(1),
                images_high: Some(90),
                images_least_age: Some(Duration::from_secs(1)),
                health_port: Some(1),
                pods_port: Some(2),
                ..Besides::default()
            },
            ..Configuration::default()
        };
        let both = |words: &str| together(words, file()).ok().unwrap();
        let settings = both("");
        assert_eq!(
            (settings.log_limits.bytes, settings.log_limits.files),
            (1, 5)
        );
        assert_eq!(
            (settings.image_limits.high, settings.image_limits.low),
            (90, 80)
        );
        assert_eq!(settings.image_limits.least_age, Duration::from_secs(1));
        assert_eq!((settings.pages.health, settings.pages.pods), (1, 2));
        let settings = both(
            "--container-log-max-size 1Ki --container-log-max-files 2 --image-gc-high-threshold 60 \
             --image-gc-low-threshold 50 --minimum-image-ttl-duration 5s --healthz-port 0 --read-only-port 0 \
             --healthz-bind-address ::1",
        );
        assert_eq!(
            (settings.log_limits.bytes, settings.log_limits.files),
            (1024, 2)
        );
        assert_eq!(
            (settings.image_limits.high, settings.image_limits.low),
            (60, 50)
        );
        assert_eq!(settings.image_limits.least_age, Duration::from_secs(5));
        let nowhere = Addresses {
            bind: "::1".parse().unwrap(),
            health: 0,
            pods: 0,
        };
        assert_eq!(settings.pages, nowhere);
        let why = together("--image-gc-high-threshold 80", Configuration::default());
        let why = why.err().unwrap();
        assert!(why.contains("the second must be lower"), "{why}");
    }
}
