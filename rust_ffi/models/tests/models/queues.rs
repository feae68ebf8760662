//! The queue, by its C functions.

use std::ptr;
use std::sync::Arc;

use shuttle::thread;

use zarrs_c_models::abi;
use zarrs_c_models::abi::completion::{zrc_completion, zrc_sink};
use zarrs_c_models::abi::error::{ZRC_OK, zrc_error_free};
use zarrs_c_models::abi::queue::{
    zrc_queue, zrc_queue_complete, zrc_queue_drain, zrc_queue_fd, zrc_queue_new, zrc_queue_release,
    zrc_queue_wait, zrc_queue_wake,
};
use zarrs_c_models::engine::error::{Error, Status};
use zarrs_c_models::engine::operation::Operation;

use super::{in_every_schedule, in_many_schedules, live};

const FOREVER: u32 = u32::MAX;

/// A handle that is released with its test. Copies go to threads that are joined before.
#[derive(Clone, Copy)]
struct Queue(*mut zrc_queue);
// SAFETY: the queue's functions may be called on any thread.
unsafe impl Send for Queue {}

// SAFETY, for all of them: the handle is alive, and what is pointed to are locals.
impl Queue {
    fn new() -> Self {
        let mut queue = ptr::null_mut();
        assert_eq!(unsafe { zrc_queue_new(&raw mut queue, ptr::null_mut()) }, ZRC_OK);
        Self(queue)
    }

    fn push(self, tag: u64) {
        let completion = zrc_completion { tag, ..nothing() };
        unsafe { zrc_queue_complete(self.0.cast(), &raw const completion) };
    }

    fn drain(self, capacity: usize) -> Vec<zrc_completion> {
        let mut out = vec![nothing(); capacity];
        let n = unsafe { zrc_queue_drain(self.0, out.as_mut_ptr(), capacity) };
        out.truncate(n);
        out
    }

    fn tags(self, capacity: usize) -> Vec<u64> {
        self.drain(capacity).iter().map(|completion| completion.tag).collect()
    }

    fn wait(self) {
        assert_eq!(unsafe { zrc_queue_wait(self.0, FOREVER) }, ZRC_OK);
    }

    fn wake(self) {
        unsafe { zrc_queue_wake(self.0) };
    }

    fn fd(self) -> i32 {
        let mut fd = 0;
        assert_eq!(unsafe { zrc_queue_fd(self.0, &raw mut fd, ptr::null_mut()) }, ZRC_OK);
        fd as i32
    }

    fn release(self) {
        unsafe { zrc_queue_release(self.0) };
    }
}

fn nothing() -> zrc_completion {
    zrc_completion {
        struct_size: size_of::<zrc_completion>(),
        tag: 0,
        status: ZRC_OK,
        flags: 0,
        bytes: 0,
        error: ptr::null_mut(),
        result: ptr::null_mut(),
    }
}

fn is_readable(fd: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, a local.
    unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
}

#[test]
fn who_waits_gets_all_that_is_pushed_in_the_order_of_each_thread() {
    in_every_schedule(|| {
        let queue = Queue::new();
        let producers = [0, 10].map(|first| {
            thread::spawn(move || {
                let queue = queue;
                queue.push(first);
            })
        });
        let mut got = vec![];
        while got.len() < 2 {
            queue.wait();
            got.extend(queue.tags(1));
        }
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        got.sort_unstable();
        assert_eq!(got, [0, 10]);
        queue.release();
    });
    in_many_schedules(|| {
        let queue = Queue::new();
        let producers = [0, 10].map(|first| {
            thread::spawn(move || {
                let queue = queue;
                (first..first + 3).for_each(|tag| queue.push(tag));
            })
        });
        let mut got = vec![];
        while got.len() < 6 {
            queue.wait();
            let more = queue.tags(2);
            assert!(!more.is_empty(), "a wait ended for nothing");
            got.extend(more);
        }
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        got.sort_by_key(|tag| tag / 10);
        assert_eq!(got, [0, 1, 2, 10, 11, 12]);
        queue.release();
    });
}

#[test]
fn the_descriptor_is_readable_exactly_while_something_is_there() {
    in_many_schedules(|| {
        let queue = Queue::new();
        let producers = [0, 10].map(|first| {
            thread::spawn(move || {
                let queue = queue;
                (first..first + 2).for_each(|tag| queue.push(tag));
            })
        });
        // First asked for beside the pushes.
        let fd = queue.fd();
        let mut got = 0;
        while got < 4 {
            if is_readable(fd) {
                let n = queue.tags(3).len();
                assert!(n > 0, "readable, and nothing was there");
                got += n;
            } else {
                thread::yield_now();
            }
        }
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        assert!(!is_readable(fd));
        queue.push(0);
        assert!(is_readable(fd));
        queue.release();
    });
}

#[test]
fn a_wake_ends_a_wait_whichever_comes_first() {
    in_every_schedule(|| {
        let queue = Queue::new();
        let waiting = thread::spawn(move || {
            let queue = queue;
            queue.wait();
            queue.tags(1)
        });
        queue.wake();
        let got = waiting.join().unwrap();
        assert!(got.is_empty());
        queue.release();
    });
}

#[test]
fn a_completion_lies_in_the_queue_before_who_waits_for_the_operation_goes_on() {
    in_every_schedule(|| {
        let (live, queue) = (live(), Queue::new());
        let sink = zrc_sink { r#fn: Some(zrc_queue_complete), ctx: queue.0.cast(), tag: 7 };
        // SAFETY: the queue is alive.
        let on_complete = unsafe { abi::on_complete(&sink) };
        let (operation, completer) = Operation::start(live, Some(on_complete)).unwrap();
        let completer = Arc::new(completer);
        let jobs = [completer.clone(), completer].map(|completer| {
            thread::spawn(move || completer.operation().note_failure(Error::codec("a bad chunk")))
        });
        operation.wait_only(None).unwrap();
        let got = queue.drain(2);
        assert_eq!(got.len(), 1);
        assert_eq!((got[0].tag, got[0].status), (7, Status::Codec as i32));
        // SAFETY: the completion owns it, and is not used again.
        unsafe { zrc_error_free(got[0].error) };
        jobs.into_iter().for_each(|job| job.join().unwrap());
        queue.release();
    });
}

#[test]
fn a_queue_that_is_released_early_lives_until_its_operation_has_completed() {
    in_every_schedule(|| {
        let (live, queue) = (live(), Queue::new());
        let sink = zrc_sink { r#fn: Some(zrc_queue_complete), ctx: queue.0.cast(), tag: 7 };
        // SAFETY: the queue is alive; the sink keeps it so.
        let on_complete = unsafe { abi::on_complete(&sink) };
        let (operation, completer) = Operation::start(live, Some(on_complete)).unwrap();
        let job = thread::spawn(move || completer.operation().fail(Error::codec("a bad chunk")));
        queue.release();
        operation.wait_only(None).unwrap();
        job.join().unwrap();
    });
}
