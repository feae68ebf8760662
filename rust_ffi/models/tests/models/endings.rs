//! Operations whose work is one job, and that end each by itself.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;

use zarrs_c_models::engine::ending::{Ending, OwnEnding};
use zarrs_c_models::engine::error::Status;
use zarrs_c_models::engine::operation::{Completion, Operation};
use zarrs_c_models::engine::runtime::Live;

use super::{far_off, in_many_schedules, live};

/// The memory of an operation, and what has happened to it.
#[derive(Default)]
struct Memory {
    at_work: AtomicUsize,
    placed: AtomicUsize,
    completions: Mutex<Vec<Completion>>,
}

impl Memory {
    fn place(&self) {
        self.at_work.fetch_add(1, Ordering::SeqCst);
        self.placed.fetch_add(1, Ordering::SeqCst);
        self.at_work.fetch_sub(1, Ordering::SeqCst);
    }

    fn only_completion(&self) -> Completion {
        let mut completions = self.completions.lock().unwrap();
        assert_eq!(completions.len(), 1, "completions");
        completions.pop().unwrap()
    }
}

fn start(live: &Arc<Live>, memory: &Arc<Memory>, pieces: u64) -> (Arc<Operation>, Arc<OwnEnding>) {
    let seen = memory.clone();
    let on_complete = move |completion| {
        assert_eq!(seen.at_work.load(Ordering::SeqCst), 0, "completed while somebody was at the memory");
        seen.completions.lock().unwrap().push(completion);
    };
    let (operation, completer) = Operation::start(live.clone(), Some(Box::new(on_complete))).unwrap();
    (operation, Arc::new(OwnEnding::new(completer, pieces)))
}

/// Two operations: the first has a piece that turns out to be two more, and one that is the second's as well.
fn job(live: &Arc<Live>) -> ([Arc<Memory>; 2], [Arc<Operation>; 2], Arc<Ending>) {
    let memories = [Arc::<Memory>::default(), Arc::default()];
    let (first, first_ending) = start(live, &memories[0], 2);
    let (second, second_ending) = start(live, &memories[1], 1);
    (memories, [first, second], Arc::new(Ending::Each(vec![first_ending, second_ending])))
}

#[test]
fn each_completes_once_after_its_last_piece() {
    in_many_schedules(|| {
        let live = live();
        let (memories, operations, ending) = job(&live);
        let (opened, to) = (ending.clone(), memories[0].clone());
        let shard = thread::spawn(move || {
            opened.expect([0, 0].into_iter());
            opened.done(0);
            let inner = [opened.clone(), opened].map(|ending| {
                let memory = to.clone();
                thread::spawn(move || {
                    memory.place();
                    ending.done(0);
                })
            });
            inner.into_iter().for_each(|inner| inner.join().unwrap());
        });
        memories.iter().for_each(|memory| memory.place());
        [0, 1].into_iter().for_each(|region| ending.done(region));
        operations.iter().for_each(|operation| operation.wait_only(None).unwrap());
        for (memory, pieces) in memories.iter().zip([3, 1]) {
            assert!(memory.only_completion().result.is_ok());
            assert_eq!(memory.placed.load(Ordering::SeqCst), pieces);
        }
        shard.join().unwrap();
        live.shutdown(far_off()).unwrap();
    });
}

#[test]
fn who_is_cancelled_ends_when_nobody_is_at_its_memory() {
    in_many_schedules(|| {
        let (live, memory) = (live(), Arc::<Memory>::default());
        let (operation, ending) = start(&live, &memory, 3);
        let pieces = [0, 1].map(|_| {
            let (memory, ending) = (memory.clone(), ending.clone());
            thread::spawn(move || {
                if ending.enter() {
                    memory.place();
                    ending.leave();
                }
                Ending::Each(vec![ending]).done(0);
            })
        });
        operation.cancel();
        ending.close();
        // Though one piece is never done.
        operation.wait_only(None).unwrap();
        let Err(error) = memory.only_completion().result else { panic!("it is not whole") };
        assert_eq!(error.status, Status::Cancelled);
        assert!(!ending.enter());
        pieces.into_iter().for_each(|piece| piece.join().unwrap());
        live.shutdown(far_off()).unwrap();
    });
}

#[test]
fn what_is_lost_is_told() {
    in_many_schedules(|| {
        let live = live();
        let (memories, operations, ending) = job(&live);
        let other = ending.clone();
        let lost = thread::spawn(move || other.done(0));
        ending.done(1);
        drop(ending);
        operations.iter().for_each(|operation| operation.wait_only(None).unwrap());
        let Err(error) = memories[0].only_completion().result else { panic!("a lost piece is not told") };
        assert_eq!(error.status, Status::Panic);
        assert!(memories[1].only_completion().result.is_ok());
        lost.join().unwrap();
        live.shutdown(far_off()).unwrap();
    });
}
