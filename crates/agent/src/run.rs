//! The loop.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cri::Runtime;
use futures_util::StreamExt as _;
use manifests::folder::Order;
use pace::Clock;
use plan::Planner;
use probe::round::Prober;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::sleep,
};

use crate::{
    crew::Crew,
    event::Listener,
    handle::{Ask, Handle, Passes},
    hooks::{Hooks, Through},
    host::Launch,
    images::Turns,
    marks,
    office::{Back, Office},
    probing::Probing,
    roll::Roll,
    settings::{OpenError, Settings},
    sight::Facts,
    source::{Said, Source},
    store::{Store, StoreError},
    work::Tools,
};
use manifests::view::Change;

/// Why the loop ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A source broke off; nobody would hear of its manifests any more.
    #[error("the task that reads manifests from {0} broke off")]
    Source(String),
}

/// Questions that wait for the loop.
const ASKS: usize = 64;
/// Words of sources that wait for the loop.
const WORDS: usize = 64;
/// Between two lists that events ask for.
const BREATH: Duration = Duration::from_millis(100);

/// An agent that holds its root directory.
pub struct Agent {
    office: Office,
    sources: Vec<Source>,
    asks: mpsc::Receiver<Ask>,
    handle: Handle,
}

type Word = (usize, Vec<Change>, Said);

impl Agent {
    /// Takes the lock of the root directory and reads what an earlier run wrote down; damaged
    /// pieces are in the answer. Blocks on that directory.
    ///
    /// # Errors
    /// [`OpenError`]: another agent holds the directory, or it cannot be used.
    pub fn new(
        settings: Settings,
        runtime: Arc<dyn Runtime>,
        launch: Arc<dyn Launch>,
        sources: Vec<Source>,
        clock: Arc<dyn Clock>,
        listener: Listener,
    ) -> Result<(Self, Vec<StoreError>), OpenError> {
        let (store, recalled) = Store::open(&settings.root)?;
        let prober = Prober::new(Arc::new(Through(Arc::clone(&runtime))))?;
        let tools = Tools {
            hooks: Hooks {
                runtime: Arc::clone(&runtime),
                prober: prober.clone(),
            },
            runtime,
            launch,
            owner: marks::owner(&settings.root, &settings.endpoint).into(),
            listener: Arc::clone(&listener),
            turns: Turns::new(settings.pulls),
        };
        let mut planner = Planner::new(
            plan::Settings {
                boot: settings.boot.clone(),
                take_over: settings.take_over,
            },
            recalled.kept,
        );
        for source in &sources {
            planner.source(source.name(), false);
        }
        let (sender, asks) = mpsc::channel(ASKS);
        let (changes, changed) = watch::channel(0);
        let office = Office {
            crew: Crew::new(tools.clone(), settings.most_orders.max(1)),
            probing: Probing::new(prober),
            roll: Roll::new(sources.iter().map(|source| source.name().to_owned())),
            settings,
            tools,
            clock,
            listener,
            planner,
            small: JoinSet::new(),
            store: Arc::new(store),
            lists: None,
            facts: Facts::default(),
            asking: BTreeSet::new(),
            records: BTreeMap::new(),
            logs: BTreeMap::new(),
            hidden: BTreeSet::new(),
            learned: false,
            show_after: Duration::ZERO,
            listing: false,
            due: Duration::ZERO,
            down: None,
            unwritten: BTreeMap::new(),
            writing: false,
            released: Vec::new(),
            held: Vec::new(),
            store_trouble: None,
            write_after: Duration::ZERO,
            touched: BTreeSet::new(),
            statuses: BTreeMap::new(),
            changes,
            stopping: Vec::new(),
            paths_due: None,
            wake: None,
            passes: Passes::default(),
        };
        let handle = Handle {
            asks: sender,
            changes: changed,
        };
        let agent = Self {
            office,
            sources,
            asks,
            handle,
        };
        Ok((agent, recalled.damaged))
    }

    /// To ask it things while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Works until `shutdown`. What runs goes on running after it.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let Self {
            mut office,
            sources,
            mut asks,
            handle,
        } = self;
        drop(handle);
        let (stop, stopped) = watch::channel(false);
        let (tell, mut words) = mpsc::channel(WORDS);
        let mut readers = Readers::begin(sources, &tell, &stopped);
        let mut bell = Bell::listen(Arc::clone(&office.tools.runtime), office.settings.poll);
        let mut shutdown = pin!(shutdown);
        office.look_for_leftovers();
        let mut open = true;
        let outcome = loop {
            office.pass();
            let wait = office.rest();
            tokio::select! {
                biased;
                () = &mut shutdown => break Ok(()),
                done = office.crew.next() => office.done(done),
                back = back(&mut office.small) => office.back(back),
                (id, outcome) = office.probing.ended() => office.probed(id, outcome),
                Some((source, changes, said)) = words.recv() => {
                    office.heard(source, changes, said);
                }
                ask = asks.recv(), if open => match ask {
                    None => open = false,
                    Some(ask) => if let Some(order) = office.answer(ask) { readers.tell(order) },
                },
                () = bell.rung() => office.hurry(BREATH),
                name = readers.ended() => break Err(RunError::Source(name)),
                () = sleep(wait) => {}
            }
            office.catch_up();
        };
        let _ = stop.send_replace(true);
        bell.end().await;
        readers.finish(office.settings.farewell).await;
        let farewell = office.settings.farewell;
        office.leave(farewell).await;
        outcome
    }
}

async fn back(small: &mut JoinSet<Back>) -> Back {
    match small.join_next().await {
        Some(Ok(back)) => back,
        Some(Err(_)) => Back::Nothing,
        None => std::future::pending().await,
    }
}

impl Office {
    /// Until something happens by itself.
    fn rest(&self) -> Duration {
        let now = self.now().mono;
        let list = (!self.listing).then_some(self.due);
        let write = (!self.writing && !self.unwritten.is_empty()).then_some(self.write_after);
        let show = self.learned.then_some(self.show_after);
        let times = [
            self.wake,
            self.probing.next(),
            self.paths_due,
            list,
            write,
            show,
        ];
        let next = times.into_iter().flatten().min();
        next.map_or(self.settings.poll, |next| next.saturating_sub(now))
    }

    /// What came in at the same time is decided on once.
    fn catch_up(&mut self) {
        while let Some(done) = self.crew.try_next() {
            self.done(done);
        }
        while let Some(back) = self.small.try_join_next() {
            self.back(back.unwrap_or(Back::Nothing));
        }
    }

    /// The next list comes soon.
    fn hurry(&mut self, breath: Duration) {
        self.due = self.due.min(self.now().mono + breath);
    }

    /// Gives everything under way a little time, and lets go of the root directory at last.
    async fn leave(mut self, limit: Duration) {
        self.crew.finish(limit).await;
        let writes = async {
            while self.writing {
                match self.small.join_next().await {
                    Some(Ok(Back::Written(_))) | None => break,
                    Some(_) => {}
                }
            }
        };
        let _ = tokio::time::timeout(limit, writes).await;
        self.small.shutdown().await;
    }
}

/// The tasks that read manifests.
struct Readers {
    tasks: JoinSet<()>,
    names: Vec<(tokio::task::Id, String)>,
    orders: Vec<mpsc::Sender<Order>>,
}

impl Readers {
    fn begin(
        sources: Vec<Source>,
        tell: &mpsc::Sender<Word>,
        stopped: &watch::Receiver<bool>,
    ) -> Self {
        let mut readers = Self {
            tasks: JoinSet::new(),
            names: Vec::new(),
            orders: Vec::new(),
        };
        for (at, source) in sources.into_iter().enumerate() {
            let (orders, receiver) = mpsc::channel(4);
            let mut stopped = stopped.clone();
            let stop = Box::pin(async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            });
            let name = source.name().to_owned();
            let task = relay(at, source, receiver, stop, tell.clone());
            let handle = readers.tasks.spawn(task);
            readers.names.push((handle.id(), name));
            readers.orders.push(orders);
        }
        readers
    }

    fn tell(&self, order: Order) {
        for orders in &self.orders {
            // Where several wait already, it looks anyway.
            let _ = orders.try_send(order);
        }
    }

    async fn ended(&mut self) -> String {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return std::future::pending().await,
        };
        let mut names = self.names.iter();
        let name = names.find(|(of, _)| *of == id);
        name.map(|(_, name)| name.clone()).unwrap_or_default()
    }

    async fn finish(mut self, limit: Duration) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limit, all).await;
        self.tasks.shutdown().await;
    }
}

/// What a source said and the loop has not heard yet.
type Unheard = Arc<(Mutex<(Vec<Change>, Option<Said>)>, Notify)>;

/// A source speaks whenever it likes; the loop hears its last word, and every change on the way.
async fn relay(
    at: usize,
    source: Source,
    orders: mpsc::Receiver<Order>,
    stop: futures_util::future::BoxFuture<'static, ()>,
    tell: mpsc::Sender<Word>,
) {
    let unheard = Unheard::default();
    let desk = Arc::clone(&unheard);
    let speaking = source.run(
        orders,
        stop,
        Box::new(move |mut changes, said| {
            let mut word = desk.0.lock().unwrap_or_else(PoisonError::into_inner);
            word.0.append(&mut changes);
            word.1 = Some(said);
            desk.1.notify_one();
        }),
    );
    let passing = async {
        loop {
            unheard.1.notified().await;
            let word =
                std::mem::take(&mut *unheard.0.lock().unwrap_or_else(PoisonError::into_inner));
            if let (changes, Some(said)) = word {
                // Without a loop there is no need to go on; the stop is on its way.
                let _ = tell.send((at, changes, said)).await;
            }
        }
    };
    tokio::select! {
        () = speaking => {}
        () = passing => {}
    }
}

/// Rings when the runtime reports that something happened.
struct Bell {
    task: JoinSet<()>,
    ring: Arc<Notify>,
}

impl Bell {
    fn listen(runtime: Arc<dyn Runtime>, pause: Duration) -> Self {
        let ring = Arc::new(Notify::new());
        let mut task = JoinSet::new();
        let rope = Arc::clone(&ring);
        let _ = task.spawn(async move {
            loop {
                if let Ok(mut events) = runtime.container_events().await {
                    while let Some(Ok(_)) = events.next().await {
                        rope.notify_one();
                    }
                }
                // Lists tell everything too, a little later.
                sleep(pause * 10).await;
            }
        });
        Self { task, ring }
    }

    async fn rung(&self) {
        self.ring.notified().await;
    }

    async fn end(&mut self) {
        self.task.shutdown().await;
    }
}
