//! Work on several threads with the results in order: what is written does not tell how many
//! threads there were.

use std::collections::VecDeque;
use std::iter;
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

/// More threads than this bring little: the calling one becomes the narrow place.
const MAX_THREADS: usize = 8;
/// Items that a thread has in hand or in wait, so that it does not wait for the caller.
const DEPTH: usize = 2;

/// Bytes of work for which it does not pay to start threads.
const LIGHT: usize = 256 << 10;

/// The ways to a thread and back.
struct Lane<T, R> {
    items: SyncSender<T>,
    results: Receiver<R>,
}

impl<T: Send, R: Send> Lane<T, R> {
    fn spawn<'scope>(
        scope: &'scope Scope<'scope, '_>,
        work: &'scope (impl Fn(T) -> R + Sync),
    ) -> Self
    where
        T: 'scope,
        R: 'scope,
    {
        let (to, items) = sync_channel(DEPTH);
        let (results, from) = sync_channel(DEPTH);
        scope.spawn(move || {
            for item in items {
                if results.send(work(item)).is_err() {
                    break;
                }
            }
        });
        Self { items: to, results: from }
    }
}

/// Takes items from `source` and gives their results to `take`, both on the calling thread and in
/// order; what lies between is done by `work` on other threads, or here as long as it is little.
/// Weights are in bytes. Items that weigh more than `budget` together are not under way at once,
/// apart from a single heavy one.
///
/// # Errors
/// The first error of `source` or `take`.
pub fn map_in_order<T: Send, R: Send, E>(
    source: impl IntoIterator<Item = Result<T, E>>,
    weight: impl Fn(&T) -> usize,
    budget: usize,
    work: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let mut source = source.into_iter();
    let mut light = LIGHT;
    let first = loop {
        let Some(item) = source.next().transpose()? else { return Ok(()) };
        match light.checked_sub(weight(&item)) {
            Some(rest) => light = rest,
            None => break item,
        }
        take(work(item))?;
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let work = &work;
    thread::scope(move |scope| {
        let lanes: Vec<Lane<T, R>> = (0..threads).map(|_| Lane::spawn(scope, work)).collect();
        let (mut to, mut from) = (lanes.iter().cycle(), lanes.iter().cycle());
        let mut take_oldest = || match from.next().and_then(|lane| lane.results.recv().ok()) {
            Some(result) => take(result),
            // The thread has panicked; so does the scope when it ends.
            None => Ok(()),
        };
        let mut weights = VecDeque::new();
        let mut total = 0;
        for item in iter::once(Ok(first)).chain(source) {
            let item = item?;
            let weight = weight(&item);
            while weights.len() >= threads * DEPTH
                || (!weights.is_empty() && total + weight > budget)
            {
                total -= weights.pop_front().unwrap_or(0);
                take_oldest()?;
            }
            total += weight;
            weights.push_back(weight);
            if let Some(lane) = to.next() {
                drop(lane.items.send(item));
            }
        }
        weights.iter().try_for_each(|_| take_oldest())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_whatever_takes_longer() {
        let mut taken = Vec::new();
        let slow_at_first = |n: u64| {
            thread::sleep(Duration::from_micros(if n.is_multiple_of(3) { 300 } else { 0 }));
            n * n
        };
        let take = |square| {
            taken.push(square);
            Ok(())
        };
        map_in_order((0..100).map(Ok::<_, ()>), |_| LIGHT / 8, LIGHT, slow_at_first, take).unwrap();
        assert_eq!(taken, (0..100).map(|n| n * n).collect::<Vec<u64>>());
    }

    #[test]
    fn the_first_error_ends_it() {
        let failing = (0..100).map(|n| if n == 50 { Err("source") } else { Ok(n) });
        let mut taken = 0;
        let take = |_| {
            taken += 1;
            Ok(())
        };
        assert_eq!(map_in_order(failing, |_| LIGHT / 8, usize::MAX, |n| n, take), Err("source"));
        assert!(taken <= 50);
        let take = |n| if n == 7 { Err("take") } else { Ok(()) };
        for weight in [0, LIGHT] {
            let result = map_in_order((0..100).map(Ok), |_| weight, usize::MAX, |n| n, take);
            assert_eq!(result, Err("take"));
        }
        let nothing = std::iter::empty::<Result<u8, ()>>();
        assert_eq!(map_in_order(nothing, |_| 1, 1, |n| n, |_| Err(())), Ok(()));
    }

    #[test]
    fn no_more_is_under_way_than_the_budget_allows() {
        let under_way = AtomicUsize::new(0);
        let weights = [3, 3, 3, 9, 1, 1].map(|weight| weight * LIGHT);
        let work = |weight| {
            let total = under_way.fetch_add(weight, Ordering::SeqCst) + weight;
            thread::sleep(Duration::from_millis(1));
            under_way.fetch_sub(weight, Ordering::SeqCst);
            total
        };
        let take = |total| {
            assert!(total <= 6 * LIGHT || total == 9 * LIGHT, "{total}");
            Ok(())
        };
        map_in_order(weights.map(Ok::<usize, ()>), |weight| *weight, 6 * LIGHT, work, take)
            .unwrap();
    }
}
