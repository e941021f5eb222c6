//! The sample shop of `notifier dev`: a page of several teams' components, built
//! from `demo/` and embedded as it is committed.

use std::sync::LazyLock;

use crate::{
    error::{Code, Refusal},
    server::{
        asset::Asset,
        route::{Answered, PublicRequest},
    },
};

/// As strict as that of a real shop could be: its own scripts and styles, its own node.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                                 connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page itself.
static PAGE: LazyLock<Asset> = LazyLock::new(|| Asset::new(HTML, include_bytes!("../../demo/shop.html")));

/// The files that the page loads, by their names. Made at the first request.
static FILES: LazyLock<[(&str, Asset); 9]> = LazyLock::new(|| {
    [
        ("shop.css", Asset::new("text/css; charset=utf-8", include_bytes!("../../demo/shop.css"))),
        ("shell.js", Asset::new(SCRIPT, include_bytes!("../../demo/dist/shell.js"))),
        ("products.js", Asset::new(SCRIPT, include_bytes!("../../demo/dist/products.js"))),
        ("cart.js", Asset::new(SCRIPT, include_bytes!("../../demo/dist/cart.js"))),
        ("badge.js", Asset::new(SCRIPT, include_bytes!("../../demo/dist/badge.js"))),
        ("stock.js", Asset::new(SCRIPT, include_bytes!("../../demo/dist/stock.js"))),
        ("orders.js", Asset::new(SCRIPT, include_bytes!("../../demo/dist/orders.js"))),
        ("mini-cart.js", Asset::new(SCRIPT, include_bytes!("../../demo/dist/mini-cart.js"))),
        // Of the frameworks that the files contain.
        ("LICENSES.txt", Asset::new("text/plain; charset=utf-8", include_bytes!("../../demo/dist/LICENSES.txt"))),
    ]
});

/// The page.
pub(crate) fn shop(request: &PublicRequest<'_>) -> Answered {
    Ok(PAGE.answer(request.headers))
}

/// Where the page dials while it pretends that a proxy blocks its WebSockets.
const NO_WEBSOCKET: &str = "no-websocket";

/// A file of the page.
pub(crate) fn file(request: &PublicRequest<'_>) -> Answered {
    if request.rest == NO_WEBSOCKET {
        return Err(Refusal::new(Code::Forbidden, "here no WebSocket is opened, as behind some proxies").into());
    }
    match FILES.iter().find(|(name, _)| *name == request.rest) {
        Some((_, asset)) => Ok(asset.answer(request.headers)),
        None => Err(Refusal::new(Code::NotFound, "the sample shop has no such file").into()),
    }
}
