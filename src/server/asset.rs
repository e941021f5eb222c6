//! A file that is part of the binary and is served as it is. Its `ETag`s and its
//! compressed form are made once.

use std::io::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use hyper::{
    HeaderMap, StatusCode,
    header::{self, HeaderValue},
};

use crate::server::{
    header_list::elements,
    response::{self, HttpResponse},
};

/// Bytes of the digest in an `ETag`: two files share it in no foreseeable time.
const ETAG_BYTES: usize = 12;

/// A file, plain and compressed.
#[derive(Debug)]
pub(crate) struct Asset {
    media_type: &'static str,
    plain: AssetVariant,
    /// None where it would not be smaller.
    gzip: Option<AssetVariant>,
}

/// One form of a file: each has an `ETag` of its own (RFC 9110 8.8.3.3).
#[derive(Debug)]
struct AssetVariant {
    bytes: Bytes,
    etag: String,
}

impl Asset {
    pub(crate) fn new(media_type: &'static str, bytes: &'static [u8]) -> Self {
        let digest = BASE64_URL_SAFE_NO_PAD.encode(&digest(&SHA256, bytes).as_ref()[..ETAG_BYTES]);
        let gzip = gzip(bytes).map(|bytes| AssetVariant { bytes, etag: format!("\"{digest}-gzip\"") });
        let plain = AssetVariant { bytes: Bytes::from_static(bytes), etag: format!("\"{digest}\"") };
        Self { media_type, plain, gzip }
    }

    /// The answer to a request with these headers: the file in the form that the
    /// client takes, or 304 where the client has that already.
    pub(crate) fn answer(&self, request: &HeaderMap) -> HttpResponse {
        let gzip = self.gzip.as_ref().filter(|_| takes_gzip(request));
        let variant = gzip.unwrap_or(&self.plain);
        let mut response = if is_known(request, &variant.etag) {
            response::empty(StatusCode::NOT_MODIFIED)
        } else {
            let mut response = response::of_type(self.media_type, variant.bytes.clone());
            if gzip.is_some() {
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        };
        let headers = response.headers_mut();
        if let Ok(etag) = HeaderValue::from_str(&variant.etag) {
            headers.insert(header::ETAG, etag);
        }
        if self.gzip.is_some() {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        response
    }
}

/// The compressed form of a file; none where it is no smaller.
fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() < bytes.len()).then(|| compressed.into())
}

/// Whether `Accept-Encoding` allows gzip (RFC 9110 12.5.3). `*` stands for the
/// encodings that are not named.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut named, mut any) = (None, false);
    for element in elements(headers, &header::ACCEPT_ENCODING) {
        let (coding, parameters) = element.split_once(';').unwrap_or((element, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.trim().parse().ok());
        let taken = weight.is_some_and(|weight: f32| weight > 0.0);
        match coding.trim() {
            "*" => any = taken,
            coding if coding.eq_ignore_ascii_case("gzip") => named = Some(taken),
            _ => {}
        }
    }
    named.unwrap_or(any)
}

/// Whether `If-None-Match` names this `ETag`, or any (RFC 9110 13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    elements(headers, &header::IF_NONE_MATCH)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt as _;

    use super::*;

    const TEXT: &[u8] = b"export const events = 'events of the node, events of the page, events of all of them';\n";

    fn request(headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        map
    }

    fn header(response: &HttpResponse, name: header::HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
    }

    #[tokio::test]
    async fn each_form_of_a_file_has_its_own_etag_and_both_hold_the_file() {
        let asset = Asset::new("text/javascript", TEXT);
        let (plain, gzip) = (asset.answer(&request(&[])), asset.answer(&request(&[("accept-encoding", "gzip")])));
        assert_ne!(header(&plain, header::ETAG), header(&gzip, header::ETAG));
        for (response, encoding) in [(&plain, ""), (&gzip, "gzip")] {
            assert_eq!(header(response, header::CONTENT_ENCODING), encoding);
            assert_eq!(header(response, header::CONTENT_TYPE), "text/javascript");
            assert_eq!(header(response, header::VARY), "accept-encoding");
        }
        let [plain, gzip] = [plain, gzip].map(|response| response.into_body().collect());
        assert_eq!(plain.await.expect("a body").to_bytes(), TEXT);
        let gzip = gzip.await.expect("a body").to_bytes();
        let mut unpacked = Vec::new();
        GzDecoder::new(&gzip[..]).read_to_end(&mut unpacked).expect("gzip");
        assert!(unpacked == TEXT && gzip.len() < TEXT.len());
    }

    #[test]
    fn a_file_that_does_not_shrink_is_served_plain() {
        let response = Asset::new("text/plain", b"a").answer(&request(&[("accept-encoding", "gzip")]));
        assert_eq!([header::CONTENT_ENCODING, header::VARY].map(|name| header(&response, name).to_owned()), ["", ""]);
    }

    #[test]
    fn accept_encoding_says_whether_gzip_is_taken() {
        let rows: [(&[&str], bool); 12] = [
            (&[], false),
            (&[""], false),
            (&["gzip"], true),
            (&["GZIP"], true),
            (&["br, gzip;q=0.5"], true),
            (&["br", "gzip"], true),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.000, *"], false),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["identity, br"], false),
            (&["gzip;q=x"], false),
        ];
        for (lines, taken) in rows {
            let lines: Vec<_> = lines.iter().map(|line| ("accept-encoding", *line)).collect();
            assert_eq!(takes_gzip(&request(&lines)), taken, "{lines:?}");
        }
    }

    #[test]
    fn if_none_match_says_what_is_known() {
        let rows: [(&[&str], bool); 9] = [
            (&[], false),
            (&["\"a\""], true),
            (&["W/\"a\""], true),
            (&["\"b\", \"a\""], true),
            (&["\"b\"", "W/\"a\""], true),
            (&["*"], true),
            (&["a"], false),
            (&["\"A\""], false),
            (&["\"b\""], false),
        ];
        for (lines, known) in rows {
            let lines: Vec<_> = lines.iter().map(|line| ("if-none-match", *line)).collect();
            assert_eq!(is_known(&request(&lines), "\"a\""), known, "{lines:?}");
        }
    }
}
