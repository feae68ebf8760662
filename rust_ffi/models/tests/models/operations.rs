//! The completion guard, cancels, and the shutdown that waits.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;

use zarrs_c_models::engine::error::{Error, Status};
use zarrs_c_models::engine::operation::{Completer, Completion, Operation};
use zarrs_c_models::engine::runtime::Live;

use super::{far_off, in_every_schedule, in_many_schedules, live};

const JOBS: usize = 2;

/// The caller's memory, and what has happened to it.
#[derive(Default)]
pub struct Memory {
    at_work: AtomicUsize,
    pub done: AtomicUsize,
    completions: Mutex<Vec<Completion>>,
}

impl Memory {
    fn job(&self, completer: &Completer) {
        if !completer.operation().skip() {
            self.place();
        }
    }

    /// A piece is placed.
    pub fn place(&self) {
        self.at_work.fetch_add(1, Ordering::SeqCst);
        self.done.fetch_add(1, Ordering::SeqCst);
        self.at_work.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Start an operation on `memory`.
pub fn begin(live: &Arc<Live>, memory: &Arc<Memory>) -> Option<(Arc<Operation>, Completer)> {
    let seen = memory.clone();
    let on_complete = move |completion| {
        assert_eq!(seen.at_work.load(Ordering::SeqCst), 0, "completed while a job was at the memory");
        seen.completions.lock().unwrap().push(completion);
    };
    Operation::start(live.clone(), Some(Box::new(on_complete))).ok()
}

fn start(live: &Arc<Live>, memory: &Arc<Memory>) -> Option<(Arc<Operation>, Arc<Completer>)> {
    begin(live, memory).map(|(operation, completer)| (operation, Arc::new(completer)))
}

fn spawn_jobs(memory: &Arc<Memory>, completer: Arc<Completer>) -> Vec<thread::JoinHandle<()>> {
    let spawn = |_| {
        let (memory, completer) = (memory.clone(), completer.clone());
        thread::spawn(move || memory.job(&completer))
    };
    (0..JOBS).map(spawn).collect()
}

pub fn only_completion(memory: &Memory) -> Completion {
    let mut completions = memory.completions.lock().unwrap();
    assert_eq!(completions.len(), 1, "completions");
    completions.pop().unwrap()
}

fn check_idle(live: &Live) {
    live.shutdown(far_off()).unwrap();
    assert_eq!(live.operations_in_flight.level(), 0);
}

#[test]
fn an_operation_completes_once_after_its_last_job_and_before_who_waits() {
    in_many_schedules(|| {
        let (live, memory) = (live(), Arc::<Memory>::default());
        let (operation, completer) = start(&live, &memory).unwrap();
        let jobs = spawn_jobs(&memory, completer);
        let waited = operation.wait(None).unwrap();
        assert!(waited.had_sink && waited.completion.result.is_ok());
        assert!(only_completion(&memory).result.is_ok());
        assert_eq!(memory.done.load(Ordering::SeqCst), JOBS);
        jobs.into_iter().for_each(|job| job.join().unwrap());
        check_idle(&live);
    });
}

#[test]
fn a_cancelled_operation_is_whole_or_says_cancelled() {
    in_many_schedules(|| {
        let (live, memory) = (live(), Arc::<Memory>::default());
        let (operation, completer) = start(&live, &memory).unwrap();
        let canceller = operation.clone();
        let cancel = thread::spawn(move || canceller.cancel());
        let jobs = spawn_jobs(&memory, completer);
        operation.wait_only(None).unwrap();
        match only_completion(&memory).result {
            Ok(_) => assert_eq!(memory.done.load(Ordering::SeqCst), JOBS),
            Err(error) => {
                assert_eq!(error.status, Status::Cancelled);
                assert!(memory.done.load(Ordering::SeqCst) < JOBS);
            }
        }
        cancel.join().unwrap();
        jobs.into_iter().for_each(|job| job.join().unwrap());
        check_idle(&live);
    });
}

#[test]
fn a_failure_is_told_whoever_cancels_beside_it() {
    in_many_schedules(|| {
        let (live, memory) = (live(), Arc::<Memory>::default());
        let (operation, completer) = start(&live, &memory).unwrap();
        let canceller = operation.clone();
        let cancel = thread::spawn(move || canceller.cancel());
        let other = completer.clone();
        let failing = thread::spawn(move || other.operation().fail(Error::codec("a bad chunk")));
        memory.job(&completer);
        drop(completer);
        operation.wait_only(None).unwrap();
        let Err(error) = only_completion(&memory).result else { panic!("a failure is not told") };
        assert_eq!(error.status, Status::Codec);
        cancel.join().unwrap();
        failing.join().unwrap();
        check_idle(&live);
    });
}

#[test]
fn a_token_that_is_made_beside_a_cancel_is_cancelled() {
    in_every_schedule(|| {
        let (live, memory) = (live(), Arc::<Memory>::default());
        let (operation, completer) = start(&live, &memory).unwrap();
        let users = [completer.clone(), completer].map(|completer| {
            thread::spawn(move || {
                completer.operation().token();
            })
        });
        operation.cancel();
        users.into_iter().for_each(|user| user.join().unwrap());
        assert!(operation.token().is_cancelled());
        check_idle(&live);
    });
}

#[test]
fn a_shutdown_refuses_an_operation_or_waits_for_its_callback() {
    in_many_schedules(|| {
        let live = live();
        let memories = [Arc::<Memory>::default(), Arc::default()];
        let starters = memories.clone().map(|memory| {
            let live = live.clone();
            thread::spawn(move || {
                let started = start(&live, &memory);
                started.inspect(|(_, completer)| memory.job(completer)).is_some()
            })
        });
        live.shutdown(far_off()).unwrap();
        // From here on a host may free what its callbacks use.
        let told = memories.clone().map(|memory| memory.completions.lock().unwrap().len());
        let started = starters.map(|starter| starter.join().unwrap());
        assert_eq!(told, started.map(usize::from));
        for memory in &memories {
            for completion in memory.completions.lock().unwrap().drain(..) {
                let done = memory.done.load(Ordering::SeqCst) == 1;
                assert!(done == completion.result.is_ok());
            }
        }
        assert_eq!(live.operations_in_flight.level(), 0);
    });
}
