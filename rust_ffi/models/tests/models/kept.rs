//! What is made once and kept: indexes of shards, and a process's own values.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use shuttle::future::{block_on, spawn, yield_now};
use shuttle::thread;

use zarrs_c_models::engine::error::Error;
use zarrs_c_models::engine::fork::PerProcess;
use zarrs_c_models::engine::index_cache::{CachedIndex, IndexCache};
use zarrs_c_models::engine::shard::ShardIndex;

use super::budgets::give_up_after;
use super::{in_every_schedule, in_many_schedules};

const KEYS: [&str; 2] = ["c/0", "c/1"];

/// A shard in a store: how often it was put, of which the writer has told, and how many fetch its index.
#[derive(Default)]
struct Shard {
    puts: AtomicU64,
    told: AtomicU64,
    fetching: AtomicUsize,
}

impl Shard {
    async fn put(&self, cache: &IndexCache, key: &str) {
        let version = self.puts.fetch_add(1, Ordering::SeqCst) + 1;
        yield_now().await;
        cache.forget(1, key);
        self.told.fetch_max(version, Ordering::SeqCst);
    }

    /// `fails`: the first time that it is the one to fetch.
    async fn get(&self, cache: &IndexCache, key: &str, fails: bool) {
        let told = self.told.load(Ordering::SeqCst);
        let fetch = async || {
            let version = self.puts.load(Ordering::SeqCst);
            self.fetching.fetch_add(1, Ordering::SeqCst);
            yield_now().await;
            self.fetching.fetch_sub(1, Ordering::SeqCst);
            if fails {
                return Err(Error::codec("a bad index"));
            }
            Ok(Some(CachedIndex { index: Arc::new(ShardIndex(700)), etag: Some(version.to_string()) }))
        };
        if let Ok(found) = cache.get(1, key, fetch).await {
            let version: u64 = found.unwrap().etag.as_ref().unwrap().parse().unwrap();
            assert!(version >= told, "an index of version {version}, though {told} was told of");
        }
    }
}

#[test]
fn an_index_is_no_older_than_what_was_forgotten_and_all_that_is_charged_comes_back() {
    in_many_schedules(|| {
        block_on(async {
            // Room for one of the two: an entry takes 256 bytes besides its index.
            let (cache, shards) = (Arc::new(IndexCache::new(1000)), Arc::<[Shard; 2]>::default());
            let tasks = (0..9).map(|i: usize| {
                let (cache, shards) = (cache.clone(), shards.clone());
                spawn(async move {
                    let (shard, key) = (&shards[i % 2], KEYS[i % 2]);
                    match i / 2 {
                        0 => shard.put(&cache, key).await,
                        1 => shard.get(&cache, key, true).await,
                        2 => _ = give_up_after(Some(1), shard.get(&cache, key, false)).await,
                        _ => shard.get(&cache, key, false).await,
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            assert!(cache.held().1 <= 1000, "{} bytes are kept", cache.held().1);
            for (shard, key) in shards.iter().zip(KEYS) {
                shard.get(&cache, key, false).await;
            }
            assert_eq!(cache.held().1, 956);
            KEYS.iter().for_each(|key| cache.forget(1, key));
            assert_eq!(cache.held(), (0, 0));
        });
    });
}

#[test]
fn who_asks_for_an_index_beside_others_shares_their_fetch() {
    in_many_schedules(|| {
        block_on(async {
            let (cache, shard) = (Arc::new(IndexCache::new(1000)), Arc::<Shard>::default());
            let tasks = (0..4).map(|i| {
                let (cache, shard) = (cache.clone(), shard.clone());
                spawn(async move {
                    let polls = (i == 0).then_some(1);
                    give_up_after(polls, shard.get(&cache, KEYS[0], false)).await;
                    // Who has given up in the midst of a fetch leaves one behind.
                    assert!(shard.fetching.load(Ordering::SeqCst) <= 2);
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            assert_eq!(cache.held(), (1, 956));
        });
    });
}

/// Counts those that are there.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn threads_that_ask_at_once_get_the_same_value_and_no_other_is_left() {
    in_every_schedule(|| {
        let (value, there) = (Arc::new(PerProcess::default()), Arc::<AtomicUsize>::default());
        let askers = [(); 2].map(|()| {
            let (value, there) = (value.clone(), there.clone());
            thread::spawn(move || {
                let made = value.get_or_make(|| {
                    there.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, Error>(Counted(there.clone()))
                });
                Arc::as_ptr(&made.ok().unwrap()) as usize
            })
        });
        let got = askers.map(|asker| asker.join().unwrap());
        assert_eq!(got[0], got[1]);
        assert_eq!(there.load(Ordering::SeqCst), 1);
        drop(value);
        assert_eq!(there.load(Ordering::SeqCst), 0);
    });
}
