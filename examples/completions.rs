//! A chat completion that streams its tokens, as clients of the OpenAI API expect. The work stops when the client
//! disconnects.
//!
//! ```python
//! from openai import OpenAI
//!
//! client = OpenAI(base_url="http://localhost:8000/v1", api_key="any")
//! messages = [{"role": "user", "content": "What is a bocadillo?"}]
//! for chunk in client.chat.completions.create(model="canned", messages=messages, stream=True):
//!     print(chunk.choices[0].delta.content or "", end="", flush=True)
//! ```

use std::time::{Duration, UNIX_EPOCH};

use bocadillo::{
    App, IntoResponse, Json, Problem, Response, ServerEvent, StatusCode, event_stream, generators,
    route, routes, server_event,
};
use serde::Deserialize;
use serde_json::{Value, json};

const ANSWER: &str = "A bocadillo is a Spanish sandwich: half a loaf of crusty bread, cut lengthwise, with one good \
    filling and little else. It is eaten warm or cold, at any hour, mostly standing up, and nobody has ever \
    complained that one took too long to arrive.";

/// How long the model needs for one token.
const PACE: Duration = Duration::from_millis(40);

generators!(
    #[event_stream]
    async fn tokens(head: Head, broken: bool) {
        let mut model = Model::new();
        while let Some(token) = model.next_token().await {
            yield head.chunk(json!({"content": token}), None);
            if broken && model.made == 5 {
                // The status was sent before. So the error is sent as an event.
                let refusal = Refusal::new(StatusCode::BAD_GATEWAY, "the model broke down");
                yield server_event!(json = {"error": refusal.error});
                return;
            }
        }
        yield head.chunk(json!({}), Some("stop"));
        yield "[DONE]";
    }
);

#[route("/v1/chat/completions", methods = [POST])]
async fn completions(asked: Result<Json<Asked>, Problem>) -> Result<Response, Refusal> {
    let Json(asked) = asked?;
    if asked.messages.is_empty() {
        let message = "`messages` is empty";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
    }
    let broken = asked.model == "canned-broken";
    if asked.model != "canned" && !broken {
        let message = format!("there is no model `{}`: ask for `canned`", asked.model);
        return Err(Refusal::new(StatusCode::NOT_FOUND, message).code("model_not_found"));
    }
    let head = Head::new(asked.model);
    if asked.stream {
        return Ok(tokens(head, broken).into_response());
    }
    let mut model = Model::new();
    while model.next_token().await.is_some() {}
    Ok(head.whole(ANSWER).into_response())
}

#[derive(Deserialize)]
struct Asked {
    model: String,
    messages: Vec<Value>,
    #[serde(default)]
    stream: bool,
}

/// Simulates a model that is expensive to run.
struct Model {
    rest: &'static str,
    made: usize,
}

impl Model {
    fn new() -> Self {
        Self {
            rest: ANSWER,
            made: 0,
        }
    }

    async fn next_token(&mut self) -> Option<&'static str> {
        if self.rest.is_empty() {
            return None;
        }
        tokio::time::sleep(PACE).await;
        let end = self
            .rest
            .find(' ')
            .map_or(self.rest.len(), |space| space + 1);
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.made += 1;
        Some(token)
    }
}

/// When the client disconnects, the generator and the model in it are dropped.
impl Drop for Model {
    fn drop(&mut self) {
        let how = if self.rest.is_empty() {
            "finished"
        } else {
            "stopped"
        };
        println!("{how} after {} tokens", self.made);
    }
}

/// The fields that are the same in all parts of one answer.
struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    fn new(model: String) -> Self {
        let created = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        Self {
            id: format!("chatcmpl-{:016x}", fastrand::u64(..)),
            created,
            model,
        }
    }

    fn chunk(&self, delta: Value, finish: Option<&str>) -> bocadillo::Result<ServerEvent> {
        server_event!(json = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    }

    fn whole(self, content: &str) -> Json<Value> {
        Json(json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "finish_reason": "stop",
            }],
        }))
    }
}

/// An error in the format of the OpenAI API.
struct Refusal {
    status: StatusCode,
    error: Value,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let kind = match status.is_server_error() {
            true => "server_error",
            false => "invalid_request_error",
        };
        let error = json!({"message": message.into(), "type": kind, "param": null, "code": null});
        Self { status, error }
    }

    fn code(mut self, code: &str) -> Self {
        self.error["code"] = code.into();
        self
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::new(problem.status(), problem.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.error}))).into_response()
    }
}

fn main() -> bocadillo::Result<()> {
    App::new().routes(routes![completions]).run()
}
