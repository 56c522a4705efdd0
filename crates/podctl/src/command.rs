//! The commands, from what was asked to what is printed.

use std::{io::Write, path::PathBuf};

use serde::Serialize;
use serde_json::{Value, json, ser::PrettyFormatter};

use crate::{
    choice,
    client::Agent,
    describe,
    document::{PodState, State},
    exec,
    fault::Fault,
    request,
    rows::{self, PodTable, Shape},
    terminal, yaml,
};

/// The form of what `get` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// A table.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// `pod/NAME` per line.
    Name,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Show pods.
    GetPods {
        /// All, if there is none.
        names: Vec<String>,
        /// All, if there is none.
        namespace: Option<String>,
        /// How.
        form: Form,
        /// Go on when something changes.
        watch: bool,
    },
    /// Show files of manifests.
    GetManifests,
    /// Show all about a pod.
    Describe {
        /// Its name.
        pod: String,
        /// Its namespace.
        namespace: Option<String>,
    },
    /// Show a log. The names in the request are as people write them.
    Logs {
        /// Its namespace, if one is given.
        namespace: Option<String>,
        /// Its container, if one is given.
        container: Option<String>,
        /// The rest.
        request: request::Logs,
    },
    /// Run a command.
    Exec {
        /// Its namespace, if one is given.
        namespace: Option<String>,
        /// Its container, if one is given.
        container: Option<String>,
        /// The rest.
        request: request::Exec,
    },
    /// Restart a pod, or one container.
    Restart {
        /// Its name.
        pod: String,
        /// Its namespace.
        namespace: Option<String>,
        /// The container.
        container: Option<String>,
    },
    /// Stop everything.
    StopAll {
        /// At most so many seconds for each pod.
        grace_seconds: Option<u64>,
    },
    /// Start everything again.
    StartAll,
}

/// Where answers go.
pub struct Desk<'a> {
    /// Answers.
    pub out: &'a mut (dyn Write + Send),
    /// Remarks.
    pub err: &'a mut (dyn Write + Send),
}

impl Desk<'_> {
    fn print(&mut self, text: &str) -> Result<(), Fault> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        Ok(())
    }

    fn remark(&mut self, text: &str) {
        // Remarks may be missed.
        let _ = writeln!(self.err, "{text}");
    }
}

/// Does it, and gives the exit code. Must be called inside a runtime of tokio.
///
/// # Errors
/// [`Fault`].
pub async fn run(socket: PathBuf, command: Command, desk: &mut Desk<'_>) -> Result<u8, Fault> {
    let agent = Agent::at(socket);
    match command {
        Command::GetPods {
            names,
            namespace,
            form,
            watch,
        } => {
            let get = Get {
                names,
                namespace,
                form,
            };
            match watch {
                true => get.watch(&agent, desk).await?,
                false => get.once(&agent, desk).await?,
            }
        }
        Command::GetManifests => desk.print(&rows::manifests(&agent.state().await?))?,
        Command::Describe { pod, namespace } => {
            let state = agent.state().await?;
            let pod = choice::pod(&state, namespace.as_deref(), &pod)?;
            desk.print(&describe::describe(pod, &state))?;
        }
        Command::Logs {
            namespace,
            container,
            request,
        } => logs(&agent, namespace, container, request, desk).await?,
        Command::Exec {
            namespace,
            container,
            request,
        } => return run_in(&agent, namespace, container, request, desk).await,
        Command::Restart {
            pod,
            namespace,
            container,
        } => restart(&agent, &pod, namespace, container, desk).await?,
        Command::StopAll { grace_seconds } => stop_all(&agent, grace_seconds, desk).await?,
        Command::StartAll => {
            agent.start_all().await?;
            desk.print("everything may start again\n")?;
        }
    }
    Ok(0)
}

struct Get {
    names: Vec<String>,
    namespace: Option<String>,
    form: Form,
}

impl Get {
    fn choose<'a>(&self, state: &'a State) -> Result<Vec<&'a PodState>, Fault> {
        let namespace = self.namespace.as_deref();
        if !self.names.is_empty() {
            let names = self.names.iter();
            return names
                .map(|name| choice::pod(state, namespace, name))
                .collect();
        }
        let there = |pod: &&PodState| namespace.is_none_or(|wanted| wanted == pod.namespace());
        Ok(state.pods.iter().filter(there).collect())
    }

    fn table(&self) -> PodTable {
        PodTable::new(Shape {
            namespaces: self.namespace.is_none(),
            wide: self.form == Form::Wide,
        })
    }

    async fn once(&self, agent: &Agent, desk: &mut Desk<'_>) -> Result<(), Fault> {
        let state = agent.state().await?;
        remarks(&state, desk);
        let pods = self.choose(&state)?;
        match self.form {
            Form::Table | Form::Wide if pods.is_empty() => {
                desk.remark(&match &self.namespace {
                    None => "No pods found.".to_owned(),
                    Some(namespace) => format!("No pods found in {namespace} namespace."),
                });
                Ok(())
            }
            Form::Table | Form::Wide => desk.print(&self.table().show(pods, &state)),
            form => {
                let one = (self.names.len() == 1)
                    .then(|| pods.first().copied())
                    .flatten();
                desk.print(&document(&pods, one, form))
            }
        }
    }

    async fn watch(&self, agent: &Agent, desk: &mut Desk<'_>) -> Result<(), Fault> {
        let mut lines = agent.watch().await?;
        let mut table = self.table();
        let mut known: Vec<Value> = Vec::new();
        let mut held: Vec<u8> = Vec::new();
        while let Some(piece) = lines.next().await? {
            held.extend_from_slice(&piece);
            while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = held.drain(..=end).collect();
                let state = agent.document(&line)?;
                // While it is watched, a pod may go and come back.
                let pods = match self.choose(&state) {
                    Ok(pods) => pods,
                    Err(fault) if known.is_empty() && table.is_empty() => return Err(fault),
                    Err(_) => Vec::new(),
                };
                if matches!(self.form, Form::Table | Form::Wide) {
                    desk.print(&table.show(pods, &state))?;
                    continue;
                }
                let now: Vec<Value> = pods.iter().map(|pod| of(pod)).collect();
                let fresh = pods
                    .iter()
                    .zip(&now)
                    .filter(|(_, now)| !known.contains(now));
                for (pod, _) in fresh {
                    desk.print(&document(&[], Some(pod), self.form))?;
                }
                known = now;
            }
        }
        Ok(())
    }
}

/// What people should know beside what they asked for.
fn remarks(state: &State, desk: &mut Desk<'_>) {
    if let Some(why) = &state.runtime_trouble {
        desk.remark(&format!(
            "Warning: the runtime does not answer, and this may be old: {why}"
        ));
    }
    if state.halted {
        desk.remark(
            "Warning: everything was told to stop, and nothing starts before staticpodd start-all",
        );
    }
    let files = state.sources.iter().flat_map(|source| &source.files);
    let bad =
        files.filter(|file| matches!(file.status.as_str(), "refused" | "unreadable" | "duplicate"));
    let troubles = state
        .sources
        .iter()
        .filter(|source| source.trouble.is_some());
    match bad.count() + troubles.count() {
        0 => {}
        1 => desk.remark("Warning: a manifest is not used; staticpodd get manifests says why"),
        more => desk.remark(&format!(
            "Warning: {more} manifests are not used; staticpodd get manifests says why"
        )),
    }
}

fn of(pod: &PodState) -> Value {
    serde_json::to_value(&pod.pod).unwrap_or_default()
}

/// One pod as it is, or several as a list.
fn document(pods: &[&PodState], one: Option<&PodState>, form: Form) -> String {
    if form == Form::Name {
        let all = one
            .into_iter()
            .chain(pods.iter().copied().filter(|_| one.is_none()));
        return all.map(|pod| format!("pod/{}\n", pod.name())).collect();
    }
    let value = match one {
        Some(pod) => of(pod),
        None => {
            let items: Vec<Value> = pods.iter().map(|pod| of(pod)).collect();
            json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {}})
        }
    };
    if form == Form::Yaml {
        return yaml::text(&value);
    }
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    // A value in memory can always be written there.
    let _ = value.serialize(&mut serializer);
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}

/// Which pod and container are meant; who reads is told where a container was chosen.
async fn meant(
    agent: &Agent,
    namespace: Option<&str>,
    pod: &str,
    container: Option<&str>,
    desk: &mut Desk<'_>,
) -> Result<(String, String, String), Fault> {
    let state = agent.state().await?;
    let pod = choice::pod(&state, namespace, pod)?;
    let (container, note) = choice::container(pod, container)?;
    if let Some(note) = note {
        desk.remark(&note);
    }
    Ok((pod.namespace().to_owned(), pod.name().to_owned(), container))
}

async fn logs(
    agent: &Agent,
    namespace: Option<String>,
    container: Option<String>,
    mut request: request::Logs,
    desk: &mut Desk<'_>,
) -> Result<(), Fault> {
    let (namespace, container) = (namespace.as_deref(), container.as_deref());
    let meant = meant(agent, namespace, &request.pod, container, desk).await?;
    (request.namespace, request.pod, request.container) = meant;
    let mut pieces = agent.logs(&request).await?;
    while let Some(piece) = pieces.next().await? {
        desk.out.write_all(&piece)?;
        desk.out.flush()?;
    }
    Ok(())
}

async fn run_in(
    agent: &Agent,
    namespace: Option<String>,
    container: Option<String>,
    mut request: request::Exec,
    desk: &mut Desk<'_>,
) -> Result<u8, Fault> {
    if request.tty && !terminal::is_there() {
        request.tty = false;
        desk.remark("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    let (namespace, container) = (namespace.as_deref(), container.as_deref());
    let meant = meant(agent, namespace, &request.pod, container, desk).await?;
    (request.namespace, request.pod, request.container) = meant;
    exec::exec(agent, &request, desk.out, desk.err).await
}

async fn restart(
    agent: &Agent,
    pod: &str,
    namespace: Option<String>,
    container: Option<String>,
    desk: &mut Desk<'_>,
) -> Result<(), Fault> {
    let state = agent.state().await?;
    let pod = choice::pod(&state, namespace.as_deref(), pod)?;
    if let Some(container) = &container {
        let _ = choice::container(pod, Some(container))?;
    }
    let request = request::Restart {
        namespace: pod.namespace().to_owned(),
        pod: pod.name().to_owned(),
        container: container.clone(),
    };
    agent.restart(&request).await?;
    desk.print(&match container {
        None => format!("pod/{} is restarted\n", request.pod),
        Some(container) => format!(
            "container {container} of pod/{} is restarted\n",
            request.pod
        ),
    })
}

async fn stop_all(agent: &Agent, grace: Option<u64>, desk: &mut Desk<'_>) -> Result<(), Fault> {
    let request = request::StopAll {
        grace_seconds: grace,
    };
    agent.stop_all(&request).await?;
    desk.print(
        "everything is stopped, and nothing starts before staticpodd start-all or the next start of the agent\n",
    )
}
