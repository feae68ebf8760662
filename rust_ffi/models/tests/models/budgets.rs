//! Budgets and the locks of keys: what waits for them, and what gives up.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use shuttle::future::{block_on, spawn, yield_now};
use shuttle::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

use zarrs_c_models::engine::budget::{Budget, Turn};
use zarrs_c_models::engine::locks::KeyLocks;
use zarrs_c_models::engine::runtime::Live;

use super::in_many_schedules;

const KIB: u64 = 1 << 10;

/// Poll so many times, then drop what is waited for; `None`: wait on.
pub async fn give_up_after<T>(polls: Option<usize>, waiting: impl Future<Output = T>) -> Option<T> {
    let mut waiting = pin!(waiting);
    let Some(mut left) = polls else { return Some(waiting.await) };
    poll_fn(|context| match waiting.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// What is held at a time, and must stay within a limit.
#[derive(Default)]
struct Level(AtomicU64);

impl Level {
    async fn hold(&self, n: u64, most: u64) {
        let now = self.0.fetch_add(n, Ordering::SeqCst) + n;
        assert!(now <= most, "{now} held, {most} allowed");
        yield_now().await;
        self.0.fetch_sub(n, Ordering::SeqCst);
    }
}

#[test]
fn budgets_are_kept_and_given_back_whoever_gives_up() {
    in_many_schedules(|| {
        block_on(async {
            let (live, budget) = (Live::new(Budget::new(1, 1)), Arc::new(Budget::new(2, 4 * KIB)));
            let (bytes, requests) = (Arc::<Level>::default(), Arc::<Level>::default());
            let turn = Arc::new(Turn::new(1, 3 * KIB));
            let tasks = (0..5).map(|i| {
                let (live, budget) = (live.clone(), budget.clone());
                let (bytes, requests) = (bytes.clone(), requests.clone());
                // Two are of one operation, which has limits of its own.
                let turn = if i < 2 { turn.clone() } else { Arc::new(Turn::new(0, 0)) };
                spawn(async move {
                    let wanted = (i % 3 + 1) * KIB;
                    let polls = (i % 2 == 1).then_some(i as usize);
                    let Some((mut permit, request)) = give_up_after(polls, turn.wait(&budget, wanted)).await
                    else {
                        return;
                    };
                    permit.account(&live, wanted);
                    requests.hold(1, 2).await;
                    drop(request);
                    bytes.hold(wanted, 4 * KIB).await;
                    permit.shrink(KIB);
                    permit.account(&live, KIB);
                    bytes.hold(KIB, 4 * KIB).await;
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            assert_eq!(live.bytes.level(), 0);
            // All of both can be had again.
            let all = Turn::new(0, 0);
            let _all = all.wait(&budget, 4 * KIB).await;
            let _second = all.wait_request(&budget).await;
        });
    });
}

#[test]
fn who_holds_bytes_gets_requests_though_others_wait_for_bytes() {
    in_many_schedules(|| {
        block_on(async {
            let budget = Arc::new(Budget::new(2, 2 * KIB));
            let turn = Arc::new(Turn::new(0, 0));
            let tasks = (0..4).map(|i| {
                let (budget, turn) = (budget.clone(), turn.clone());
                spawn(async move {
                    if i % 2 == 0 {
                        let _bytes = turn.wait_bytes(&budget, 2 * KIB).await;
                        for _ in 0..2 {
                            let _request = turn.wait_request(&budget).await;
                            yield_now().await;
                        }
                    } else {
                        let _permits = turn.wait(&budget, KIB).await;
                        yield_now().await;
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
    });
}

/// Decode into memory of the budget, and look that there is as much of it as all decode into.
async fn decode(live: &Live, threads: &Semaphore, decoding: &std::sync::atomic::AtomicU64, bytes: u64) {
    let _thread = threads.acquire().await.unwrap();
    decoding.fetch_add(bytes, Ordering::SeqCst);
    // Nothing comes between these two: std's atomics are no point at which the checker switches.
    let held = live.bytes.level();
    let needed = decoding.load(Ordering::SeqCst);
    assert!(needed <= held, "{needed} bytes are decoded into {held}");
    yield_now().await;
    decoding.fetch_sub(bytes, Ordering::SeqCst);
}

#[test]
fn what_is_decoded_at_a_time_has_memory_of_the_budget_whoever_gives_up() {
    in_many_schedules(|| block_on(decode_side_by_side(2, 10 * KIB)));
    // Hardly more than one request needs.
    in_many_schedules(|| block_on(decode_side_by_side(1, 6 * KIB)));
}

async fn decode_side_by_side(codec_threads: usize, bytes: u64) {
    let live = Live::with_codec_threads(codec_threads, Budget::new(4, bytes));
    let (threads, decoding) = (Arc::new(Semaphore::new(codec_threads)), Arc::default());
    // Two operations.
    let turns = [Turn::new(0, 0), Turn::new(0, bytes - KIB)].map(Arc::new);
    let tasks = (0..7).map(|i| {
        let (live, turn) = (live.clone(), turns[i % 2].clone());
        let (threads, decoding) = (threads.clone(), Arc::clone(&decoding));
        spawn(async move {
            let decoded = (i as u64 / 2 % 3 + 1) * KIB;
            let polls = (i % 3 == 2).then_some(i / 2);
            let waiting = turn.wait_to_decode(&live, 2 * KIB, decoded);
            let Some((mut permit, request)) = give_up_after(polls, waiting).await else { return };
            yield_now().await;
            drop(request);
            permit.shrink(KIB);
            decode(&live, &threads, &decoding, decoded).await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(live.bytes.level(), 0);
    // All of both can be had again, though the operations are still there.
    let all = Turn::new(0, 0);
    let _all = all.wait(&live.budget, bytes).await;
    let _second = all.wait_request(&live.budget).await;
}

#[test]
fn a_key_has_one_holder_and_none_is_left_behind() {
    in_many_schedules(|| {
        block_on(async {
            let locks = Arc::<KeyLocks>::default();
            let levels = Arc::new([Level::default(), Level::default()]);
            let tasks = (0..5).map(|i| {
                let (locks, levels) = (locks.clone(), levels.clone());
                spawn(async move {
                    let key = i % 2;
                    let polls = (i == 2).then_some(1);
                    let guard = give_up_after(polls, locks.lock(format!("memory:/c/{key}"))).await;
                    if guard.is_some() {
                        levels[key].hold(1, 1).await;
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            assert!(locks.is_empty());
        });
    });
}
