//! Commands that ask a running agent: their grammar, and what is asked for.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use podctl::{Command, Form, request};

use super::values::duration;

/// Where an agent listens.
pub(crate) const SOCKET: &str = "/run/staticpodd/agent.sock";

#[derive(Debug, Args)]
pub(crate) struct Where {
    /// Socket of the agent
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub(crate) socket: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Scope {
    /// Namespace of the pod [default: any in which there is such a pod]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Pods that are wanted or still there
    #[value(aliases = ["pod", "po"])]
    Pods,
    /// Files of manifests, and what became of them
    #[value(aliases = ["manifest", "sources"])]
    Manifests,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Single {
    /// A pod
    #[value(aliases = ["pods", "po"])]
    Pod,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shown {
    /// With address, node and manifest
    Wide,
    /// As a v1 Pod or a list of them
    Json,
    /// As a v1 Pod or a list of them
    Yaml,
    /// Only names
    Name,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// What to show
    kind: Kind,
    /// Names of pods, with or without the node at their end [default: all]
    names: Vec<String>,
    /// Form of the answer [default: a table]
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Shown>,
    /// Go on, and show what changes
    #[arg(short, long)]
    watch: bool,
    /// Only this namespace [default: all]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// All namespaces, which is what is shown anyway
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// What to describe
    kind: Single,
    /// Its name, with or without the node at its end
    name: String,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Name of the pod, with or without the node at its end
    pod: String,
    /// Its container [default: the first]
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Go on, also over restarts of the container, until it or its pod has ended
    #[arg(short, long)]
    follow: bool,
    /// The instance before the one that runs
    #[arg(short, long)]
    previous: bool,
    /// At most so many lines from the end; -1 is all
    #[arg(
        long,
        value_name = "LINES",
        default_value_t = -1,
        allow_negative_numbers = true,
        hide_default_value = true
    )]
    tail: i64,
    /// Only what is younger, as 5s, 2m or 3h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// With the time before each line
    #[arg(long)]
    timestamps: bool,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Name of the pod, with or without the node at its end
    pod: String,
    /// Its container [default: the first]
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Hand the standard input on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// With a terminal
    #[arg(short, long)]
    tty: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Name of the pod, with or without the node at its end
    pod: String,
    /// This container alone; whether it starts again is for its policy to say
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, Args)]
pub(crate) struct StopAll {
    /// Seconds that a pod has to stop at most [default: as many as it asks for]
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u64>,
    #[command(flatten)]
    pub(crate) place: Where,
}

impl Get {
    pub(crate) fn command(&self) -> Command {
        match self.kind {
            Kind::Manifests => Command::GetManifests,
            Kind::Pods => Command::GetPods {
                names: self.names.clone(),
                namespace: self.namespace.clone(),
                form: match self.output {
                    None => Form::Table,
                    Some(Shown::Wide) => Form::Wide,
                    Some(Shown::Json) => Form::Json,
                    Some(Shown::Yaml) => Form::Yaml,
                    Some(Shown::Name) => Form::Name,
                },
                watch: self.watch,
            },
        }
    }
}

impl Describe {
    pub(crate) fn command(&self) -> Command {
        let Single::Pod = self.kind;
        Command::Describe {
            pod: self.name.clone(),
            namespace: self.scope.namespace.clone(),
        }
    }
}

impl Logs {
    pub(crate) fn command(&self) -> Command {
        Command::Logs {
            namespace: self.scope.namespace.clone(),
            container: self.container.clone(),
            request: request::Logs {
                pod: self.pod.clone(),
                follow: self.follow,
                previous: self.previous,
                tail: u64::try_from(self.tail).ok(),
                since_seconds: self.since.map(|since| since.as_secs().max(1)),
                timestamps: self.timestamps,
                ..request::Logs::default()
            },
        }
    }
}

impl Exec {
    pub(crate) fn command(&self) -> Command {
        Command::Exec {
            namespace: self.scope.namespace.clone(),
            container: self.container.clone(),
            request: request::Exec {
                pod: self.pod.clone(),
                command: self.command.clone(),
                stdin: self.stdin,
                tty: self.tty,
                ..request::Exec::default()
            },
        }
    }
}

impl Restart {
    pub(crate) fn command(&self) -> Command {
        Command::Restart {
            pod: self.pod.clone(),
            namespace: self.scope.namespace.clone(),
            container: self.container.clone(),
        }
    }
}

impl StopAll {
    pub(crate) fn command(&self) -> Command {
        Command::StopAll {
            grace_seconds: self.grace_period,
        }
    }
}
