//! A runtime of memory, with containerd's rules and with any fault that a test wants.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cri::{Call, Error, Fault, subject::short};
use pace::Clock;
use tokio::{sync::watch, time::sleep};

use actor::KILLED;
use faults::Plans;
use state::World;
use times::Stamps;

mod words;

mod actor;
mod faults;
mod images;
mod logs;
mod times;

mod state;

mod answers;

pub use faults::{Plan, Trouble};
pub use images::FakeImage;
pub use times::TokioClock;

/// What a command inside a container does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Executed {
    /// Its end.
    pub code: i32,
    /// What it prints.
    pub stdout: String,
    /// What it prints as an error.
    pub stderr: String,
    /// How long it runs.
    pub takes: Duration,
}

/// Answers for commands: the container's name, and the command.
type Executor = Arc<dyn Fn(&str, &[String]) -> Executed + Send + Sync>;

/// A runtime of memory. Every clone is the same one, so that a test keeps a hand on what it gave
/// away: the methods here are that hand, the agent's calls are those of [`cri::Runtime`].
///
/// Containers with the program `/workload` do what their words say, see [`crate::script`]; all
/// others run until SIGTERM and end with 0. Nothing is really run; logs are really written.
/// What happens by itself, such as an end after a while, happens when the next call comes, dated
/// with the moment at which it was due. Stamps come from the given clock; waiting is done with
/// tokio's, so that a test with a paused clock does not wait.
///
/// It is as old as containerd 1.6 where that matters: no events unless asked for, no
/// `RuntimeConfig`, no features. It has no networks, mounts and file systems. `Exec` gives a URL
/// where nobody listens.
#[derive(Clone)]
pub struct Fake {
    shared: Arc<Shared>,
}

struct Shared {
    inside: Mutex<Inside>,
    /// Whether the runtime is gone.
    down: watch::Sender<bool>,
    /// How many events there were.
    events: watch::Sender<usize>,
}

struct Inside {
    world: World,
    plans: Plans,
    calls: Vec<(Call, String)>,
    executor: Executor,
    boots: u32,
}

impl Fake {
    /// Empty, with a network and without events.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let inside = Inside {
            world: World::new(Stamps::new(clock)),
            plans: Plans::default(),
            calls: Vec::new(),
            executor: Arc::new(|_, _| Executed::default()),
            boots: 1,
        };
        let shared = Shared {
            inside: Mutex::new(inside),
            down: watch::Sender::new(false),
            events: watch::Sender::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Writes no logs, where thousands of pods only cost files.
    #[must_use]
    pub fn without_logs(self) -> Self {
        self.world(|world| world.has_logs = false);
        self
    }

    /// `NetworkReady` is false, and only pods on the node's network start.
    #[must_use]
    pub fn without_network(self) -> Self {
        self.set_network(false);
        self
    }

    /// Reports events, as containerd does since 1.7: the old ones first.
    #[must_use]
    pub fn with_events(self) -> Self {
        self.world(|world| world.has_events = true);
        self
    }

    /// Knows a runtime handler beside `runc`.
    #[must_use]
    pub fn with_handler(self, name: &str) -> Self {
        self.world(|world| world.handlers.insert(name.to_owned()));
        self
    }

    /// Whether there is a network for pods from now on.
    pub fn set_network(&self, ready: bool) {
        self.world(|world| world.has_network = ready);
    }

    /// Puts an image on the disk; its name with the digest.
    pub fn add_image(&self, image: FakeImage) -> String {
        let pinned = image.pinned_name();
        self.world(|world| world.images.store(image));
        pinned
    }

    /// Puts an image into the registry; its name with the digest.
    pub fn offer_image(&self, image: FakeImage) -> String {
        let pinned = image.pinned_name();
        self.world(|world| world.images.offer(image));
        pinned
    }

    /// Whether the registry can be reached from now on.
    pub fn set_registry_down(&self, down: bool) {
        self.world(|world| world.images.set_registry_down(down));
    }

    /// What commands in containers do, but for those of the test program.
    pub fn on_exec(&self, executor: impl Fn(&str, &[String]) -> Executed + Send + Sync + 'static) {
        self.inside().executor = Arc::new(executor);
    }

    /// Something goes wrong from now on. Of several plans that a call meets the first counts.
    pub fn plan(&self, plan: Plan) {
        self.inside().plans.add(plan);
    }

    /// Nothing goes wrong any more.
    pub fn calm(&self) {
        self.inside().plans.clear();
    }

    /// Every call so far with its subject, in order, those that failed too.
    #[must_use]
    pub fn calls(&self) -> Vec<(Call, String)> {
        self.inside().calls.clone()
    }

    /// Forgets what was called.
    pub fn forget_calls(&self) {
        self.inside().calls.clear();
    }

    /// The runtime goes away: calls that wait fail, and so does every other until
    /// [`Fake::come_up`]. Containers live on.
    pub fn go_down(&self) {
        self.shared.down.send_replace(true);
    }

    /// The runtime is there again.
    pub fn come_up(&self) {
        self.shared.down.send_replace(false);
    }

    /// Everything that runs is dead, and nobody saw it: containers are exited with 255 and
    /// `Unknown`, sandboxes are not ready.
    pub fn cut_power(&self) {
        self.world(World::power_cut);
    }

    /// The runtime goes, everything is dead, and it comes back on a new boot.
    pub fn reboot(&self) {
        self.go_down();
        self.cut_power();
        self.inside().boots += 1;
        self.come_up();
    }

    /// How often the machine has booted: one at first.
    #[must_use]
    pub fn boots(&self) -> u32 {
        self.inside().boots
    }

    /// The runtime lost its memory: no sandbox and no container is known any more.
    pub fn wipe(&self) {
        self.world(World::wipe);
    }

    /// A container ends with a code: 128 and more are signals.
    pub fn exit(&self, container: &str, code: i32) {
        self.world(|world| world.end(container, code, false));
    }

    /// The kernel kills a container for its memory.
    pub fn run_out_of_memory(&self, container: &str) {
        self.world(|world| world.end(container, KILLED, true));
    }

    /// The first process of a sandbox is killed: it is not ready any more. Containers that do not
    /// share its processes live on.
    pub fn kill_pause(&self, sandbox: &str) {
        self.world(|world| world.kill_pause(sandbox));
    }

    /// What keeps a sandbox and its containers is killed, and they with it.
    pub fn kill_shim(&self, sandbox: &str) {
        self.world(|world| world.kill_shim(sandbox));
    }

    /// Lets all happen that is due; calls do that too.
    pub fn settle(&self) {
        self.world(|_| ());
    }

    /// The newest container of this name in the newest sandbox of this pod.
    #[must_use]
    pub fn container(&self, pod: &str, container: &str) -> Option<String> {
        self.world(|world| {
            let found = world.tenants.iter().filter(|(_, tenant)| {
                let room = world.rooms.get(&tenant.room);
                let of_pod = room.and_then(|room| room.config.metadata.as_ref());
                let own = tenant.config().metadata.as_ref();
                of_pod.is_some_and(|name| name.name == pod)
                    && own.is_some_and(|name| name.name == container)
            });
            // Ids grow with time.
            found
                .max_by_key(|(id, _)| id.as_str())
                .map(|(id, _)| id.clone())
        })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        let inside = self.shared.inside.lock();
        inside.unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on what is true now.
    fn world<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let (outcome, events) = {
            let mut inside = self.inside();
            inside.world.catch_up();
            (work(&mut inside.world), inside.world.events.len())
        };
        self.shared
            .events
            .send_if_modified(|known| std::mem::replace(known, events) != events);
        outcome
    }

    /// One call: what is planned for it, and what it does.
    async fn call<T>(
        &self,
        call: Call,
        subject: String,
        extra: Duration,
        work: impl FnOnce(&mut World) -> Result<T, Fault> + Send,
    ) -> Result<T, Error> {
        let is_lost = self.meet(call, &subject, extra).await?;
        let outcome = self.world(work);
        match outcome {
            _ if is_lost => Err(self.gone(call, subject)),
            Ok(answer) => Ok(answer),
            Err(fault) => Err(Error {
                call,
                subject,
                fault,
            }),
        }
    }

    /// What is planned for a call; whether its answer will be lost.
    async fn meet(&self, call: Call, subject: &str, extra: Duration) -> Result<bool, Error> {
        let trouble = {
            let mut inside = self.inside();
            inside.calls.push((call, subject.to_owned()));
            inside.plans.meet(call, subject)
        };
        let error = |fault| Error {
            call,
            subject: subject.to_owned(),
            fault,
        };
        if self.is_down() {
            return Err(self.gone(call, subject.to_owned()));
        }
        match trouble {
            None => Ok(false),
            Some(Trouble::Lose) => Ok(true),
            Some(Trouble::Fail(fault)) => Err(error(fault)),
            Some(Trouble::Slow(time)) => {
                self.wait(call, subject, Some(time)).await?;
                Ok(false)
            }
            Some(Trouble::Hang) => {
                let patience = call
                    .patience()
                    .map(|patience| patience.saturating_add(extra));
                self.wait(call, subject, patience).await?;
                let after = patience.unwrap_or_default();
                Err(error(Fault::Deadline { after }))
            }
        }
    }

    /// Lets time pass, or for ever; until the runtime goes.
    async fn wait(&self, call: Call, subject: &str, time: Option<Duration>) -> Result<(), Error> {
        let passing = async {
            match time {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = passing => Ok(()),
            () = self.goes_down() => Err(self.gone(call, subject.to_owned())),
        }
    }

    async fn goes_down(&self) {
        let mut down = self.shared.down.subscribe();
        // The sender lives as long as this does.
        let _ = down.wait_for(|down| *down).await;
    }

    fn is_down(&self) -> bool {
        *self.shared.down.borrow()
    }

    fn gone(&self, call: Call, subject: String) -> Error {
        let message = match self.is_down() {
            true => "connection refused",
            false => "the answer was lost",
        };
        Error {
            call,
            subject,
            fault: Fault::Unavailable {
                endpoint: "unix:///run/fake.sock".to_owned(),
                message: message.to_owned(),
            },
        }
    }

    /// What a command does in a container that runs.
    fn execute(&self, id: &str, command: &[String]) -> Result<Recital, Fault> {
        let (environment, name) = self.world(|world| {
            let tenant = world.running(id)?;
            let name = tenant.config().metadata.clone().unwrap_or_default().name;
            Ok::<_, Fault>((tenant.environment(), name))
        })?;
        if !actor::exists(command) {
            let program = command.first().cloned().unwrap_or_default();
            return Err(words::refused(
                "UNKNOWN",
                format!(
                    "failed to exec in container: exec: \"{program}\": no such file or directory"
                ),
            ));
        }
        if command
            .first()
            .is_some_and(|program| program == "/workload")
        {
            return Ok(recite(command, environment));
        }
        let executor = Arc::clone(&self.inside().executor);
        let executed = executor(&name, command);
        Ok(Recital {
            stdout: executed.stdout,
            stderr: executed.stderr,
            end: Some((executed.takes, executed.code)),
        })
    }
}

/// What a command prints, and when it ends and how.
struct Recital {
    stdout: String,
    stderr: String,
    end: Option<(Duration, i32)>,
}

/// A command that runs longer than this has no end.
const LONGEST: Duration = Duration::from_secs(3600);

fn recite(command: &[String], environment: BTreeMap<String, String>) -> Recital {
    let mut actor = actor::Actor::new(command, environment, 0, Duration::ZERO);
    let end = actor.play_until(LONGEST);
    let mut recital = Recital {
        stdout: String::new(),
        stderr: String::new(),
        end: end.map(|end| (end.at, end.code)),
    };
    for said in actor.take_said() {
        match said.stream {
            actor::Stream::Out => recital.stdout.push_str(&said.text),
            actor::Stream::Err => recital.stderr.push_str(&said.text),
        }
    }
    recital
}

fn of(id: &str) -> String {
    short(id).to_owned()
}
