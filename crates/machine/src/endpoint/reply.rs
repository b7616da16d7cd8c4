//! What the endpoint sends back: a JSON text, or what comes from a provider, while it comes.

use super::refuse;
use crate::{
    cell::Cell,
    exchange::{Frame, Frames},
    node::Node,
};
use abi::{Code, Error, ReplyTo, request::Api};
use hyper::{
    Response, StatusCode,
    body::{Bytes, Frame as Part, SizeHint},
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A request under way, for which somebody waits.
pub(super) struct Waiting {
    pub node: Arc<Node>,
    pub cell: Arc<Cell>,
    pub number: ReplyTo,
    pub frames: Frames,
}

impl Waiting {
    /// The next that comes.
    pub async fn next(&mut self) -> Option<Frame> {
        poll_fn(|context| self.frames.poll(context)).await
    }
}

impl Drop for Waiting {
    /// Whoever waited has gone, or has all of it; the node knows which.
    fn drop(&mut self) {
        self.node.left(&self.cell, self.number);
    }
}

/// The body of an answer.
pub(super) enum Body {
    /// A text; none once it is taken.
    Text(Option<Bytes>),
    /// What comes.
    Stream(Api, Box<Waiting>),
}

impl Body {
    pub fn of(api: Api, waiting: Waiting) -> Self {
        Self::Stream(api, Box::new(waiting))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Part<Bytes>, Infallible>>> {
        let data = |bytes: Bytes| Some(Ok(Part::data(bytes)));
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().and_then(data)),
            Self::Stream(api, waiting) => waiting.frames.poll(context).map(|frame| match frame {
                Some(Frame::Bytes(bytes)) => data(Bytes::from(bytes)),
                Some(Frame::Failed(error)) => data(Bytes::from(refuse::event(*api, &error))),
                // A provider has one head; a second is nothing to send on.
                Some(Frame::Head(..)) => data(Bytes::new()),
                None => None,
            }),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Stream(..) => SizeHint::default(),
        }
    }
}

/// An answer of our own.
pub(super) fn json(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(Some(Bytes::from(text))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A model as both families of clients read it, or as Google's do.
pub(super) fn model(api: Api, name: &str) -> Value {
    if api == Api::Gemini {
        let can = ["generateContent", "countTokens"];
        return json!({ "name": format!("models/{name}"), "displayName": name, "version": "skep",
                       "supportedGenerationMethods": can });
    }
    json!({
        "id": name, "type": "model", "object": "model", "display_name": name, "owned_by": "skep",
        "created": 0, "created_at": "1970-01-01T00:00:00Z",
    })
}

/// A list of them.
pub(super) fn models(api: Api, names: &[String]) -> String {
    let data: Vec<Value> = names.iter().map(|name| model(api, name)).collect();
    if api == Api::Gemini {
        return json!({"models": data}).to_string();
    }
    let (first, last) = (names.first(), names.last());
    json!({"object": "list", "data": data, "has_more": false, "first_id": first, "last_id": last}).to_string()
}

/// What a program is told when nothing came.
pub(super) fn nothing() -> Error {
    Error::new(Code::Unavailable, "the provider said nothing")
}
