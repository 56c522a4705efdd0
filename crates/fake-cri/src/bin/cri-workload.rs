//! The program in the containers of tests: does what the words on its command line say.

use std::{
    env, fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fake_cri::{
    programs::{VERSION_WORD, sources},
    script::{Step, parse},
};
use rustix::process::{getgid, getgroups, getuid};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::sleep,
};

/// How often a path is looked for.
const LOOK: Duration = Duration::from_millis(5);
/// What makes the web server sick.
const SICK: &str = "/tmp/sick";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == VERSION_WORD) {
        return match line(&sources()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let steps = match parse(&words) {
        Ok(steps) => steps,
        Err(fault) => {
            let _ = writeln!(io::stderr(), "{fault}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.and_then(|runtime| {
        let code = runtime.block_on(run(steps));
        // A thread may still wait for a writer of a FIFO.
        runtime.shutdown_background();
        code
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            let _ = writeln!(io::stderr(), "{fault}");
            ExitCode::FAILURE
        }
    }
}

/// What SIGTERM does.
#[derive(Clone, Copy)]
struct Manners {
    code: Option<u8>,
    drain: Duration,
}

async fn run(steps: Vec<Step>) -> io::Result<u8> {
    let mut terminate = signal(SignalKind::terminate())?;
    let manners = Arc::new(Mutex::new(Manners {
        code: Some(0),
        drain: Duration::ZERO,
    }));
    let mut servers = JoinSet::new();
    let told = Arc::clone(&manners);
    let script = play(steps, &told, &mut servers);
    tokio::pin!(script);
    loop {
        tokio::select! {
            code = &mut script => return code,
            _ = terminate.recv() => {
                let now = *manners.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(code) = now.code {
                    line("terminated")?;
                    sleep(now.drain).await;
                    return Ok(code);
                }
                line("ignored")?;
            }
        }
    }
}

async fn play(
    steps: Vec<Step>,
    manners: &Mutex<Manners>,
    servers: &mut JoinSet<io::Result<()>>,
) -> io::Result<u8> {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    for step in steps {
        match step {
            Step::Out(text) => line(&text)?,
            Step::Err(text) => writeln!(io::stderr(), "{text}")?,
            Step::Raw(text) => raw(&text)?,
            Step::Env(name) => line(&variable(&name))?,
            Step::Fill(bytes) => line(&"x".repeat(bytes))?,
            Step::Count(lines) => (1..=lines).try_for_each(|n| line(&n.to_string()))?,
            Step::Tick(pause) => tick(pause).await?,
            Step::Write(path, text) => fs::write(path, text)?,
            Step::Cat(path) => match fs::read_to_string(&path) {
                Ok(text) => raw(&text)?,
                Err(fault) => line(&format!("{}: {fault}", path.display()))?,
            },
            Step::Id => line(&identity()?)?,
            Step::Wait(path) => {
                while !path.exists() {
                    sleep(LOOK).await;
                }
            }
            Step::Fifo(path) => mirror(&path).await?,
            Step::Sleep(time) => sleep(time).await,
            Step::Eat(mebibytes) => {
                for _ in 0..mebibytes {
                    eaten.push(vec![1; 1024 * 1024]);
                }
            }
            Step::Serve(address, text) => {
                let text = text.strip_prefix('$').map_or(text.clone(), variable);
                let listener = TcpListener::bind(&address).await?;
                servers.spawn(serve(listener, text));
            }
            Step::Term(code) => change(manners, |manners| manners.code = code),
            Step::Drain(time) => change(manners, |manners| manners.drain = time),
            Step::Hang => std::future::pending().await,
            Step::Exit(code) => return Ok(code),
            Step::Abort => std::process::abort(),
        }
    }
    Ok(0)
}

fn change(manners: &Mutex<Manners>, change: impl FnOnce(&mut Manners)) {
    change(&mut manners.lock().unwrap_or_else(PoisonError::into_inner));
}

fn line(text: &str) -> io::Result<()> {
    raw(&format!("{text}\n"))
}

fn raw(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests ask what a container's variables are"
)]
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| "unset".to_owned())
}

fn identity() -> io::Result<String> {
    let mut groups: Vec<u32> = getgroups()?.iter().map(|group| group.as_raw()).collect();
    groups.sort_unstable();
    let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    Ok(format!("{user} {group} {}", groups.join(",")))
}

async fn tick(pause: Duration) -> io::Result<()> {
    for number in 1_u64.. {
        line(&number.to_string())?;
        sleep(pause).await;
    }
    Ok(())
}

/// A FIFO ends whenever its last writer goes; the next one begins it anew.
async fn mirror(path: &Path) -> io::Result<()> {
    loop {
        let file = tokio::fs::File::open(path).await?;
        let mut lines = BufReader::new(file).lines();
        while let Some(text) = lines.next_line().await? {
            line(&text)?;
        }
    }
}

async fn serve(listener: TcpListener, text: String) -> io::Result<()> {
    let mut answers = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while answers.try_join_next().is_some() {}
        answers.spawn(answer(stream, text.clone()));
    }
}

async fn answer(mut stream: TcpStream, text: String) -> io::Result<()> {
    let mut question = Vec::new();
    let mut chunk = [0; 1024];
    while !question.windows(4).any(|end: &[u8]| end == b"\r\n\r\n") {
        let read = stream.read(&mut chunk).await?;
        if read == 0 || question.len() > 64 * 1024 {
            return Ok(());
        }
        question.extend(chunk.iter().take(read));
    }
    let status = match Path::new(SICK).exists() {
        true => "503 Service Unavailable",
        false => "200 OK",
    };
    let length = text.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
