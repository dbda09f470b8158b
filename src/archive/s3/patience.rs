//! Waiting for a store that is busy, restarts or drops connections: within a budget, and said.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fault::Fault;
use crate::remote::random_share;

/// The first pause; each is up to double the one before.
const FIRST: Duration = Duration::from_millis(200);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(15);

/// How long a store is waited for that has not answered once: its address may be wrong.
const UNREACHED: Duration = Duration::from_secs(15);

/// So long nothing is said: a single hiccup interests nobody.
const SILENT: Duration = Duration::from_secs(2);

/// Says why a store is waited for, and how much longer.
type Tell = Box<dyn Fn(&str, Duration) + Send + Sync>;

/// How much longer a store is waited for. All requests of a run share it, so that a store with many faults
/// is not waited for once for each.
pub(super) struct Patience {
    budget: Duration,
    tell: Tell,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Time spent on requests that failed and on pauses after them.
    spent: Duration,
    has_answered: bool,
    /// Has it given up, and nothing succeeded since?
    given_up: Option<GivenUp>,
}

/// A store that was waited for in vain.
#[derive(Clone)]
struct GivenUp {
    /// The last that went wrong, and when.
    fault: Fault,
    at: Instant,
    /// How many requests in a row.
    count: u32,
}

/// How long a request may take once a store was waited for in vain.
const SHORT: Duration = Duration::from_secs(3);

/// After so many of those nothing is sent any more for a while.
const FEW: u32 = 4;

/// So long.
const REST: Duration = Duration::from_secs(10);

impl Patience {
    pub(super) fn new(
        budget: Duration,
        tell: impl Fn(&str, Duration) + Send + Sync + 'static,
    ) -> Self {
        Self { budget, tell: Box::new(tell), state: Mutex::default() }
    }

    /// Sends a request until it is answered, and repeats what may pass while there is time left.
    pub(super) async fn send<T>(
        &self,
        mut request: impl AsyncFnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut pause = FIRST;
        let mut failing_since = None;
        loop {
            let start = Instant::now();
            let given_up = self.state().given_up.clone();
            let answer = match &given_up {
                None => request().await,
                Some(last) if last.count >= FEW && last.at.elapsed() < REST => {
                    return Err(last.fault.clone());
                }
                Some(last) => {
                    let answer = tokio::time::timeout(SHORT, request()).await;
                    answer.unwrap_or_else(|_| Err(last.fault.clone()))
                }
            };
            let fault = match answer {
                Ok(answer) => {
                    let mut state = self.state();
                    state.has_answered = true;
                    state.given_up = None;
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            if !fault.is_unreached {
                self.state().has_answered = true;
            }
            if !fault.is_passing {
                return Err(fault);
            }
            // Between the half and the whole.
            let jittered = pause.mul_f64(0.5 + random_share() / 2.0);
            let Some(left) = self.spend(start.elapsed() + jittered) else {
                let count = given_up.map_or(0, |last| last.count) + 1;
                let fault = waited(fault, failing_since.unwrap_or(start));
                self.state().given_up =
                    Some(GivenUp { fault: fault.clone(), at: Instant::now(), count });
                return Err(fault);
            };
            let since = *failing_since.get_or_insert(start);
            if since.elapsed() + jittered >= SILENT {
                (self.tell)(&fault.reason, left);
            }
            tokio::time::sleep(jittered).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subtracts time from the budget and returns what is left, or `None` when the budget is used up.
    fn spend(&self, time: Duration) -> Option<Duration> {
        let mut state = self.state();
        let budget = if state.has_answered { self.budget } else { self.budget.min(UNREACHED) };
        state.spent += time;
        budget.checked_sub(state.spent).filter(|left| !left.is_zero())
    }
}

/// Says how long it was waited for.
fn waited(fault: Fault, since: Instant) -> Fault {
    let waited = since.elapsed().as_secs();
    if waited == 0 {
        return fault;
    }
    Fault { reason: format!("{}, for {waited} s", fault.reason), ..fault }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn fault(is_passing: bool, is_unreached: bool) -> Fault {
        Fault { is_passing, is_unreached, ..Fault::unproven("SlowDown: busy") }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn what_passes_is_waited_for() {
        let patience = Patience::new(Duration::from_mins(1), |_, _| ());
        let mut left = 3;
        let answer = run(patience.send(async || {
            left -= 1;
            if left == 0 { Ok("answer") } else { Err(fault(true, false)) }
        }));
        assert_eq!(answer.unwrap(), "answer");
    }

    #[test]
    fn what_does_not_pass_is_told_at_once() {
        let patience = Patience::new(Duration::from_mins(1), |_, _| ());
        let tried = AtomicU32::new(0);
        let answer = run(patience.send(async || {
            tried.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(fault(false, false))
        }));
        assert_eq!((answer.is_err(), tried.load(Ordering::SeqCst)), (true, 1));
    }

    #[test]
    fn the_budget_is_one_for_all_requests() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let tell = move |why: &str, _| heard.lock().unwrap().push(why.to_owned());
        let patience = Patience::new(Duration::from_millis(900), tell);
        let start = Instant::now();
        let failing = async || Err::<(), _>(fault(true, false));
        assert!(run(patience.send(failing)).is_err());
        let first = start.elapsed();
        assert!(first < Duration::from_secs(1) && first > Duration::from_millis(100), "{first:?}");
        // Nothing is left for the next ones: each is tried once, and after a few none is sent.
        let start = Instant::now();
        assert!(run(patience.send(failing)).is_err());
        assert!(start.elapsed() < Duration::from_millis(100));
        let sent = AtomicU32::new(0);
        for _ in 0..10 {
            let counted = async || {
                sent.fetch_add(1, Ordering::SeqCst);
                Err::<(), _>(fault(true, false))
            };
            assert!(run(patience.send(counted)).is_err());
        }
        assert_eq!(sent.load(Ordering::SeqCst), FEW - 2);
        assert!(said.lock().unwrap().is_empty(), "short waits are not told");
    }
}
