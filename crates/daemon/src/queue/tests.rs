use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex},
};

use proptest::prelude::*;

use super::*;

/// A sink that somebody reads, or that hangs until somebody does.
#[derive(Clone, Default)]
struct Pipe(Arc<(Mutex<Ends>, Condvar)>);

#[derive(Default)]
struct Ends {
    read: Vec<u8>,
    stuck: bool,
    /// Writes that have begun.
    writes: u32,
}

impl Pipe {
    fn stuck() -> Self {
        let pipe = Self::default();
        pipe.0.0.lock().unwrap().stuck = true;
        pipe
    }

    fn read_on(&self) {
        self.0.0.lock().unwrap().stuck = false;
        self.0.1.notify_all();
    }

    /// Waits until the writer hangs in a write.
    fn hangs(&self) {
        let ends = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(ends, |ends| ends.writes == 0).unwrap());
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.0.lock().unwrap().read.clone()).unwrap()
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut ends = self.0.0.lock().unwrap();
        ends.writes += 1;
        self.0.1.notify_all();
        let mut ends = self.0.1.wait_while(ends, |ends| ends.stuck).unwrap();
        ends.read.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn notice() -> Notice {
    Box::new(|lost| format!("<missing {lost}>\n"))
}

fn writer(queue: &Arc<Queue>, sink: impl Write + Send + 'static, patience: Duration) -> Writer {
    Writer::start(Arc::clone(queue), sink, notice(), patience).unwrap()
}

const LONG: Duration = Duration::from_secs(60);

/// Pushes numbered lines until some were dropped, and gives how many were pushed.
fn flood(queue: &Queue) -> u64 {
    let before = queue.dropped();
    let mut pushed = 0;
    while queue.dropped() < before + 1000 {
        queue.push(format!("{pushed} {}\n", "x".repeat(300)).as_bytes());
        pushed += 1;
    }
    pushed
}

/// The number that each line begins with, or what it says is missing.
fn numbers(text: &str) -> Vec<Result<u64, u64>> {
    text.lines()
        .map(|line| match line.strip_prefix("<missing ") {
            Some(lost) => Err(lost.trim_end_matches('>').parse().unwrap()),
            None => Ok(line.split(' ').next().unwrap().parse().unwrap()),
        })
        .collect()
}

#[test]
fn the_end_waits_for_the_last_line() {
    let (pipe, queue) = (Pipe::default(), Arc::new(Queue::default()));
    let writer = writer(&queue, pipe.clone(), LONG);
    for number in 0..500 {
        queue.push(format!("{number}\n").as_bytes());
    }
    drop(writer);
    let all: Vec<_> = (0..500).map(Ok).collect();
    assert_eq!(numbers(&pipe.text()), all);
    assert_eq!(queue.dropped(), 0);
}

#[test]
fn lines_of_a_thread_that_panics_come_out() {
    let pipe = Pipe::default();
    let sink = pipe.clone();
    let panicked = std::panic::catch_unwind(move || {
        let queue = Arc::new(Queue::default());
        let _writer = writer(&queue, sink, LONG);
        queue.push(b"1\n");
        std::panic::resume_unwind(Box::new("a fault"));
    });
    assert!(panicked.is_err());
    assert_eq!(pipe.text(), "1\n");
}

#[test]
fn while_nobody_reads_lines_are_dropped_and_counted_and_memory_is_bounded() {
    let (pipe, queue) = (Pipe::stuck(), Arc::new(Queue::default()));
    let writer = writer(&queue, pipe.clone(), LONG);
    queue.push(b"0\n");
    pipe.hangs();
    let pushed = flood(&queue) + 1;
    // There is room for so little, but then it would stand where it does not belong.
    queue.push(b"1\n");
    let dropped = queue.dropped();
    let waiting = queue.lock().lines.capacity();
    assert!(waiting <= 2 * ROOM, "{waiting} bytes wait");
    pipe.read_on();
    drop(writer);

    let numbers = numbers(&pipe.text());
    let missing: u64 = numbers.iter().filter_map(|line| line.err()).sum();
    assert_eq!(missing, dropped);
    assert_eq!(queue.dropped(), dropped);
    // The first line, the first of the flood, and then what is missing.
    let kept = pushed - dropped;
    let expected = std::iter::once(Ok(0))
        .chain((0..kept).map(Ok))
        .chain([Err(dropped)]);
    assert_eq!(numbers, expected.collect::<Vec<_>>());
}

#[test]
fn after_a_gap_everything_is_taken_again_and_a_second_gap_has_its_own_count() {
    let (pipe, queue) = (Pipe::stuck(), Arc::new(Queue::default()));
    let writer = writer(&queue, pipe.clone(), LONG);
    flood(&queue);
    let first = queue.dropped();
    let read = |pipe: &Pipe| {
        while !queue.is_empty() || !pipe.text().ends_with(&format!("<missing {first}>\n")) {
            thread::yield_now();
        }
    };
    pipe.read_on();
    read(&pipe);
    queue.push(b"7\n");
    drop(writer);
    let numbers = numbers(&pipe.text());
    assert_eq!(
        numbers.iter().rev().take(2).collect::<Vec<_>>(),
        [&Ok(7), &Err(first)]
    );
    assert_eq!(queue.dropped(), first);
}

#[test]
fn an_emptied_queue_keeps_little_memory() {
    let (pipe, queue) = (Pipe::stuck(), Arc::new(Queue::default()));
    let writer = writer(&queue, pipe.clone(), LONG);
    flood(&queue);
    pipe.read_on();
    // Both buffers are filled, emptied and exchanged.
    for _ in 0..3 {
        while !queue.is_empty() {
            thread::yield_now();
        }
        queue.push(b"1\n");
    }
    drop(writer);
    let kept = queue.lock().lines.capacity();
    assert!(kept <= KEPT, "{kept} bytes");
}

#[test]
fn a_reader_that_hangs_does_not_hold_the_end() {
    let (pipe, queue) = (Pipe::stuck(), Arc::new(Queue::default()));
    let writer = writer(&queue, pipe.clone(), Duration::from_millis(30));
    queue.push(b"1\n");
    let (ended, end) = std::sync::mpsc::channel();
    let ender = thread::spawn(move || {
        drop(writer);
        ended.send(()).unwrap();
    });
    assert!(end.recv_timeout(LONG).is_ok(), "it waited for the reader");
    ender.join().unwrap();
    assert_eq!(pipe.text(), "");
    pipe.read_on();
}

#[test]
fn what_no_thread_could_write_is_written_at_once() {
    let (pipe, queue) = (Pipe::default(), Queue::default());
    queue.push(b"1\n");
    queue.push(b"2\n");
    write_here(&queue, pipe.clone(), notice());
    assert_eq!(pipe.text(), "1\n2\n");
}

/// What a sink does with one write.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Takes(usize),
    Interrupted,
    Full,
    Fails,
}

/// A sink with a script; when that is over it takes everything.
struct Moody(VecDeque<Answer>, Vec<u8>);

impl Write for &mut Moody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = match self.0.pop_front() {
            None => bytes.len(),
            Some(Answer::Takes(most)) => most.min(bytes.len()),
            Some(Answer::Interrupted) => return Err(ErrorKind::Interrupted.into()),
            Some(Answer::Full) => return Err(ErrorKind::WouldBlock.into()),
            Some(Answer::Fails) => return Err(ErrorKind::StorageFull.into()),
        };
        self.1.extend_from_slice(bytes.get(..taken).unwrap());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_descriptor_that_somebody_made_non_blocking_loses_nothing() {
    let script = [Answer::Full, Answer::Takes(1), Answer::Full];
    let mut sink = Moody(script.into(), Vec::new());
    let mut outlet = Outlet::new(&mut sink, notice());
    assert_eq!(outlet.pass_on(b"1\n2\n", 0), 0);
    assert_eq!(sink.1, b"1\n2\n");
}

#[test]
fn lines_that_a_full_disk_refused_are_counted_and_told_before_the_next() {
    let queue = Queue::default();
    queue.push(b"1\n");
    queue.push(b"2\n");
    let mut sink = Moody([Answer::Fails].into(), Vec::new());
    write_here(&queue, &mut sink, notice());
    assert_eq!(queue.dropped(), 2);
    assert_eq!(sink.1, b"<missing 2>\n");

    let mut sink = Moody([Answer::Fails, Answer::Fails].into(), Vec::new());
    let mut outlet = Outlet::new(&mut sink, notice());
    assert_eq!(outlet.pass_on(b"1\n", 0), 1);
    assert_eq!(outlet.pass_on(b"2\n", 0), 0);
    assert_eq!(sink.1, b"<missing 1>\n2\n");
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => (0_usize..30).prop_map(Answer::Takes),
        1 => Just(Answer::Interrupted),
        1 => Just(Answer::Full),
        4 => Just(Answer::Fails),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A disk that is full, a reader that went away and another that came: what is there is
    /// whole or a torn beginning, and every line that is not whole is counted once.
    #[test]
    fn every_line_is_written_or_counted(
        script in proptest::collection::vec(answer(), 0..12),
        rounds in proptest::collection::vec((1_u64..5, 0_u64..3), 1..8),
    ) {
        let mut sink = Moody(script.into(), Vec::new());
        let mut outlet = Outlet::new(&mut sink, notice());
        let (mut pushed, mut refused_all, mut unwritten_all) = (0, 0, 0);
        for (lines, refused) in rounds {
            let mut batch = String::new();
            for _ in 0..lines {
                batch.push_str(&format!("<line {pushed}>\n"));
                pushed += 1;
            }
            unwritten_all += outlet.pass_on(batch.as_bytes(), refused);
            refused_all += refused;
        }
        // The script is over at some time, and then all is told.
        for _ in 0..13 {
            unwritten_all += outlet.pass_on(format!("<line {pushed}>\n").as_bytes(), 0);
            pushed += 1;
        }
        prop_assert_eq!(outlet.untold, 0);
        let text = String::from_utf8(sink.1).unwrap();
        let whole = |kind: &str| -> Vec<u64> {
            text.lines()
                .filter_map(|line| line.strip_prefix(kind)?.strip_suffix('>')?.parse().ok())
                .collect()
        };
        let lines = whole("<line ");
        prop_assert!(lines.is_sorted());
        prop_assert_eq!(lines.len() as u64 + unwritten_all, pushed);
        prop_assert_eq!(whole("<missing ").iter().sum::<u64>(), unwritten_all + refused_all);
    }
}
