//! The command line of bao-dev. For development only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bao_dev::run_dir;
use bao_dev::testing::{Jwt, Options, Setup};
use bao_dev::up::{ProviderSettings, Up, UpError, mint};
use bao_dev::values;
use clap::{Args, Parser, Subcommand};
use pace::Clock as _;
use tokio::signal::unix::{SignalKind, signal};

const WARNING: &str = "bao-dev is an OpenBao imitation for development and tests: in memory, with a published root \
                       token. Never use it for data that matters.";

#[derive(Parser)]
#[command(version, about = WARNING)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a server and writes CA, JWT and a ready config.yaml for the provider into a folder
    Up(Box<UpArgs>),
    /// Makes a JWT with the signing key of such a folder
    Jwt(JwtArgs),
}

#[derive(Args)]
struct UpArgs {
    /// Folder for ca.crt, identity.jwt, config.yaml and bao-dev.json; made if missing
    #[arg(long)]
    dir: PathBuf,
    /// Loopback address of the server
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Loopback address of the standby
    #[arg(long, default_value = "127.0.0.1:0")]
    standby_listen: SocketAddr,
    /// Loopback address of the control endpoint (see CONTROL.md)
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Only the bare server with a root token: no mount, key, policy or auth method
    #[arg(long)]
    virgin: bool,
    /// Transit mount
    #[arg(long, default_value = "transit", value_parser = values::mount)]
    mount: String,
    /// Transit key
    #[arg(long, default_value = "k8s-etcd", value_parser = values::name)]
    key: String,
    /// jwt role
    #[arg(long, default_value = "kms", value_parser = values::name)]
    role: String,
    /// Seconds a token lives at first
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(i64).range(1..))]
    token_ttl: i64,
    /// Seconds a token lives at most
    #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(i64).range(1..))]
    token_max_ttl: i64,
    /// Socket of the provider [default: openbao-kms-dev/kms.sock below /run, $XDG_RUNTIME_DIR or /run/user/UID]
    #[arg(long, value_parser = values::socket)]
    socket: Option<PathBuf>,
    /// Group of the socket, by name or number [default: the caller's group]
    #[arg(long, value_parser = values::text)]
    socket_group: Option<String>,
    /// State file of the provider [default: state/key-registry.json in the folder]
    #[arg(long, value_parser = values::path)]
    state: Option<PathBuf>,
    /// Where the provider serves metrics, or off
    #[arg(long, default_value = "127.0.0.1:8081", value_parser = values::listen_address)]
    metrics_address: String,
    /// Where the provider serves health, or off
    #[arg(long, default_value = "127.0.0.1:8082", value_parser = values::listen_address)]
    health_address: String,
    /// openbao.instanceId of the provider
    #[arg(long, default_value = "bao-dev", value_parser = values::text)]
    instance_id: String,
    /// status.probeInterval of the provider
    #[arg(long, default_value = "1s", value_parser = values::interval)]
    probe_interval: String,
    /// status.deepProbeInterval of the provider
    #[arg(long, default_value = "5s", value_parser = values::interval)]
    deep_probe_interval: String,
    /// status.statusMaxStaleness of the provider
    #[arg(long, default_value = "4s", value_parser = values::interval)]
    status_max_staleness: String,
    /// rotation.activationDelay of the provider
    #[arg(long, default_value = "2s", value_parser = values::duration)]
    activation_delay: String,
    /// rotation.requireStableObservationCount of the provider
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    stable_observations: u32,
}

#[derive(Args)]
struct JwtArgs {
    /// Folder of `bao-dev up`
    #[arg(long)]
    dir: PathBuf,
    /// iss
    #[arg(long)]
    issuer: Option<String>,
    /// aud
    #[arg(long)]
    audience: Option<String>,
    /// sub
    #[arg(long)]
    subject: Option<String>,
    /// exp, in seconds from now; negative for one that has expired
    #[arg(long, default_value_t = 3600, allow_negative_numbers = true)]
    expires_in: i64,
    /// nbf, in seconds from now; absent without
    #[arg(long, allow_negative_numbers = true)]
    not_before_in: Option<i64>,
    /// iat, in seconds from now
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    issued_in: i64,
    /// ES256 or none
    #[arg(long, default_value = "ES256")]
    algorithm: String,
    /// Signed by a key nobody trusts
    #[arg(long)]
    foreign_key: bool,
    /// File to write instead of standard output
    #[arg(long)]
    out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Up(args) => up(*args).await,
        Command::Jwt(args) => jwt(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&mut std::io::stderr(), &format!("bao-dev: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A closed pipe is no reason to fail.
fn say(out: &mut dyn std::io::Write, line: &str) {
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

async fn up(args: UpArgs) -> Result<(), UpError> {
    say(&mut std::io::stderr(), WARNING);
    let signal_error = |source| UpError::File {
        path: PathBuf::from("signal handler"),
        source,
    };
    let mut terminated = signal(SignalKind::terminate()).map_err(signal_error)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(signal_error)?;

    let provider = if args.virgin {
        None
    } else {
        Some(provider(&args)?)
    };
    let setup = Setup {
        mount: args.mount,
        key: args.key,
        role: args.role,
        token_ttl: args.token_ttl,
        token_max_ttl: args.token_max_ttl,
        ..Setup::default()
    };
    let options = Options {
        listen: args.listen,
        standby_listen: args.standby_listen,
        control: args.control,
        setup: (!args.virgin).then_some(setup),
        ..Options::default()
    };
    let mut up = Up::start(&args.dir, options, provider.as_ref()).await?;
    let (address, control) = (up.server().address(), up.server().control_address());
    let ready = format!(
        "bao-dev ready: address={address} control={control} dir={}",
        args.dir.display()
    );
    say(&mut std::io::stdout(), &ready);

    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = terminated.recv() => break,
            _ = interrupted.recv() => break,
            _ = tick.tick() => up.refresh_identity()?,
        }
    }
    up.stop().await;
    Ok(())
}

fn provider(args: &UpArgs) -> Result<ProviderSettings, UpError> {
    let dir = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    Ok(ProviderSettings {
        socket: match &args.socket {
            Some(socket) => absolute(socket),
            None => run_dir::find()?.join("openbao-kms-dev/kms.sock"),
        },
        socket_group: args
            .socket_group
            .clone()
            .unwrap_or_else(|| rustix::process::getgid().to_string()),
        state: args
            .state
            .as_ref()
            .map_or_else(|| dir.join("state/key-registry.json"), absolute),
        metrics_address: args.metrics_address.clone(),
        health_address: args.health_address.clone(),
        instance_id: args.instance_id.clone(),
        probe_interval: args.probe_interval.clone(),
        deep_probe_interval: args.deep_probe_interval.clone(),
        status_max_staleness: args.status_max_staleness.clone(),
        activation_delay: args.activation_delay.clone(),
        stable_observations: args.stable_observations,
    })
}

fn jwt(args: JwtArgs) -> Result<(), UpError> {
    let default = Jwt::default();
    let jwt = Jwt {
        issuer: args.issuer.unwrap_or(default.issuer),
        audience: args.audience.unwrap_or(default.audience),
        subject: args.subject.unwrap_or(default.subject),
        expires_in: Some(args.expires_in),
        not_before_in: args.not_before_in,
        issued_in: Some(args.issued_in),
        algorithm: args.algorithm,
        foreign_key: args.foreign_key,
        ..Jwt::default()
    };
    let text = mint(&args.dir, &jwt, pace::SystemClock::new().now().wall)?;
    match args.out {
        None => say(&mut std::io::stdout(), &text),
        Some(path) => bao_dev::up::write(&path, text.as_bytes(), 0o640)?,
    }
    Ok(())
}
