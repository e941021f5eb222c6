//! Services that publish and read over HTTP, a connection for each request.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

use super::house::{Ends, House};
use crate::clock;

/// Between two requests.
const EVERY: Duration = Duration::from_millis(200);

/// For an answer: what cannot be read is refused after 10 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// Seconds for which its tokens hold.
const TOKEN: u64 = 30;

/// What is asked, in turn.
const QUESTIONS: [(&str, &str); 4] = [
    ("POST", "/v1/publish/soak.say.http"),
    ("GET", "/v1/fetch?subject=soak.d.0.*&limit=10"),
    ("GET", "/v1/last/soak.v.0"),
    ("POST", "/v1/request/soak.ask.ok"),
];

/// Calls until it is time to leave.
pub(super) async fn call(house: Arc<House>, mut ends: watch::Receiver<Option<Ends>>) {
    for (method, path) in QUESTIONS.iter().cycle() {
        tokio::select! {
            () = sleep(EVERY) => {}
            // Its sender lives as long as the house.
            _ = ends.wait_for(Option::is_some) => return,
        }
        let begun = clock::now();
        let told = match timeout(PATIENCE, once(&house, method, path)).await {
            Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200") => {
                house.book.count("HTTP requests answered");
                continue;
            }
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".into(),
        };
        house.book.unless_outage(begun, "HTTP refused", || format!("{method} {path}: {told}"));
    }
}

async fn once(house: &House, method: &str, path: &str) -> std::io::Result<String> {
    let token = house.token("http", "service", TOKEN);
    let body = if method == "POST" { "{\"n\":1}" } else { "" };
    let length = if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
    let mut stream = TcpStream::connect(house.listen).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         {length}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
