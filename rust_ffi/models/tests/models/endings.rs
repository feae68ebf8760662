//! Operations whose work is one job, and that end each by itself.

use std::sync::Arc;

use shuttle::sync::atomic::Ordering;
use shuttle::thread;

use zarrs_c_models::engine::ending::{Ending, OwnEnding};
use zarrs_c_models::engine::error::Status;
use zarrs_c_models::engine::operation::Operation;
use zarrs_c_models::engine::runtime::Live;

use super::operations::{Memory, begin, only_completion};
use super::{far_off, in_many_schedules, live};

fn start(live: &Arc<Live>, memory: &Arc<Memory>, pieces: u64) -> (Arc<Operation>, Arc<OwnEnding>) {
    let (operation, completer) = begin(live, memory).unwrap();
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
            assert!(only_completion(memory).result.is_ok());
            assert_eq!(memory.done.load(Ordering::SeqCst), pieces);
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
        let Err(error) = only_completion(&memory).result else { panic!("it is not whole") };
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
        let Err(error) = only_completion(&memories[0]).result else { panic!("a lost piece is not told") };
        assert_eq!(error.status, Status::Panic);
        assert!(only_completion(&memories[1]).result.is_ok());
        lost.join().unwrap();
        live.shutdown(far_off()).unwrap();
    });
}
