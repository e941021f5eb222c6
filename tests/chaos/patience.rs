//! Waiting for what no event announces. Nothing here waits for time to pass:
//! it asks until the answer is there, and says what did not come.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// How long anything may take that has to happen. Elections and catching up
/// after a restart of the whole cluster take some ten seconds on a busy
/// machine; only a failing run waits this long.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Between two questions.
const PACE: Duration = Duration::from_millis(25);

/// Asks until there is an answer; none in time is a panic that says what was missed.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, question: impl FnMut() -> F) -> T {
    within(PATIENCE, question).await.unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}"))
}

/// Asks until there is an answer, or for so long.
pub async fn within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    mut question: impl FnMut() -> F,
) -> Option<T> {
    timeout(patience, async {
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            sleep(PACE).await;
        }
    })
    .await
    .ok()
}
