//! Turns records into what clients get, once for everyone: frames of `rowcast.v1`, Server-Sent Events, or the bare
//! value.
//!
//! Rows and keys are copied from the record; a record that is not well-formed JSON never reaches a client's parser.

use rowcast_log::Record;
use rowcast_protocol::{
    ChangeParts, CursorKey, ErrorCode, Failure, Fresh, Live, Reset, ResetReason, SchemaChange, ServerMessage, Stale,
};

use crate::{
    envelope::{Envelope, NotAChange},
    frame::Opcode,
    frames::{Frames, FramesBuilder},
    json, keys,
    placed::Placed,
    schemas::{Schemas, Shape},
    unreadable::Unreadable,
    wrapping::key_payload,
};

/// How a feed's clients are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    /// WebSocket text messages of `rowcast.v1`.
    V1,
    /// Server-Sent Events with the same JSON, without `sub`.
    Sse,
    /// The record's value as one WebSocket message.
    Raw,
}

impl Format {
    pub(crate) const ALL: [Format; 3] = [Format::V1, Format::Sse, Format::Raw];
}

/// What is the same for all messages of one feed.
#[derive(Debug)]
pub(crate) struct Voice {
    pub(crate) topic: std::sync::Arc<str>,
    pub(crate) format: Format,
    pub(crate) sub: u32,
    pub(crate) cursor_key: CursorKey,
}

/// What a run of records in order needs to remember from one to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Schemas that hold from this place or a later one have not been told.
    untold_from: u64,
    /// The client knows that some records are not JSON.
    told_unreadable: bool,
}

impl Progress {
    /// For clients that know the schema of all before this place.
    pub(crate) fn from(place: u64) -> Progress {
        Progress {
            untold_from: place,
            told_unreadable: false,
        }
    }
}

/// A row whose left-out values were put back.
#[derive(Debug, Default)]
pub(crate) struct FilledRow {
    pub(crate) row: Vec<u8>,
    /// Columns that nobody knows; they are not in `row`.
    pub(crate) unchanged: Vec<String>,
}

impl Voice {
    /// Appends what clients get for one record: often one message, sometimes none. Who has it goes on from `next_offsets`.
    #[expect(
        clippy::too_many_arguments,
        reason = "the hot path borrows from five owners, and a struct of them is built once for each record"
    )]
    pub(crate) fn record(
        &self,
        placed: &Placed<'_>,
        next_offsets: &[u64],
        change: Result<&Envelope<'_>, NotAChange>,
        filled: Option<&FilledRow>,
        schemas: &Schemas,
        progress: &mut Progress,
        out: &mut FramesBuilder,
    ) {
        let (record, next_place) = (&placed.record, placed.place + 1);
        if self.format == Format::Raw {
            let commit_ts_us = change.map_or(0, Envelope::commit_ts_us);
            return record
                .value
                .map_or((), |value| self.raw(value, next_place, commit_ts_us, out));
        }
        let seen = match change {
            Ok(change) if json::is_json(change.text) => {
                self.shape_before(placed.place, schemas, progress, out);
                self.change(record, next_offsets, change, filled, out);
                return out.end(next_place, change.commit_ts_us());
            }
            Ok(change) => Unreadable::of(change.text),
            Err(NotAChange::NotJson(seen)) => seen,
            Err(NotAChange::Message | NotAChange::Echo) => return,
        };
        if !progress.told_unreadable {
            progress.told_unreadable = true;
            self.complaint(Some(seen.sentence(&self.topic, record.offset.0)), out);
            out.end(next_place, 0);
        }
    }

    fn raw(&self, value: &[u8], next_place: u64, commit_ts_us: i64, out: &mut FramesBuilder) {
        let opcode = if std::str::from_utf8(value).is_ok() {
            Opcode::Text
        } else {
            Opcode::Binary
        };
        let start = out.start_message();
        out.buffer.extend_from_slice(value);
        out.seal_message(start, opcode);
        out.end(next_place, commit_ts_us);
    }

    fn change(
        &self,
        record: &Record<'_>,
        next_offsets: &[u64],
        change: &Envelope<'_>,
        filled: Option<&FilledRow>,
        out: &mut FramesBuilder,
    ) {
        let mut cursor = Vec::with_capacity(64);
        self.cursor_key.write(next_offsets, &mut cursor);
        let key = key_payload(record.key).map(keys::as_json);
        let unchanged: Vec<&str> = filled
            .iter()
            .flat_map(|row| &row.unchanged)
            .map(String::as_str)
            .collect();
        let parts = ChangeParts {
            sub: self.sub,
            op: change.op,
            key: key.as_deref(),
            before: change.before,
            after: filled.map_or(change.after, |filled| Some(&filled.row)),
            ts_ms: change.ts_ms,
            ts_us: change.ts_us,
            unchanged: &unchanged,
            cursor: &cursor,
        };
        self.say("change", Some(&cursor), out, |buffer| {
            rowcast_protocol::change_frame(buffer, &parts)
        });
    }

    /// Tells the shape of the record at `place` if it is not the one that was told. Part of the change's own frame:
    /// who goes on from between the two has seen neither.
    fn shape_before(&self, place: u64, schemas: &Schemas, progress: &mut Progress, out: &mut FramesBuilder) {
        if schemas.first_from(&self.topic, progress.untold_from) > place {
            return;
        }
        progress.untold_from = place + 1;
        if let Some(shape) = schemas.at(&self.topic, place) {
            self.schema(&shape, out);
        }
    }

    /// Appends a schema; the caller ends the frame.
    pub(crate) fn schema(&self, shape: &Shape, out: &mut FramesBuilder) {
        let message = SchemaChange {
            sub: self.sub,
            schema: Some(shape.schema.clone()),
        };
        self.message("schema", None, &ServerMessage::Schema(message), out);
    }

    /// Appends "from here on it is live"; the caller ends the frame.
    pub(crate) fn live(&self, next_offsets: &[u64], out: &mut FramesBuilder) {
        let mut cursor = Vec::new();
        self.cursor_key.write(next_offsets, &mut cursor);
        let text = String::from_utf8(cursor.clone()).expect("base64 is ASCII");
        let message = ServerMessage::Live(Live {
            sub: self.sub,
            cursor: text,
        });
        self.message("live", Some(&cursor), &message, out);
    }

    /// Appends "nothing is heard of the source since" or "it is heard of again"; the caller ends the frame.
    pub(crate) fn freshness(&self, stale_since_ms: Option<i64>, out: &mut FramesBuilder) {
        let (event, message) = match stale_since_ms {
            Some(since_ms) => (
                "stale",
                ServerMessage::Stale(Stale {
                    sub: self.sub,
                    since_ms,
                }),
            ),
            None => ("fresh", ServerMessage::Fresh(Fresh { sub: self.sub })),
        };
        self.message(event, None, &message, out);
    }

    /// Appends "forget what you have"; the caller ends the frame.
    pub(crate) fn reset(&self, reason: ResetReason, out: &mut FramesBuilder) {
        let message = ServerMessage::Reset(Reset {
            sub: self.sub,
            reason,
            message: reset_sentence(reason).to_owned(),
        });
        self.message("reset", None, &message, out);
    }

    /// Appends why this subscription has ended; the caller ends the frame.
    pub(crate) fn end(&self, code: ErrorCode, message: String, out: &mut FramesBuilder) {
        let failure = Failure {
            code,
            message,
            sub: Some(self.sub),
            topic: None,
            r#ref: None,
        };
        self.error(failure, out);
    }

    /// Appends that records are left out because they are not JSON, if so; the caller ends the frame.
    pub(crate) fn complaint(&self, sentence: Option<String>, out: &mut FramesBuilder) {
        let failure = sentence.map(|message| Failure {
            code: ErrorCode::NotJson,
            message,
            sub: None,
            topic: Some(self.topic.to_string()),
            r#ref: None,
        });
        if let Some(failure) = failure {
            self.error(failure, out);
        }
    }

    fn error(&self, failure: Failure, out: &mut FramesBuilder) {
        self.message("error", None, &ServerMessage::Error(failure), out);
    }

    fn message(&self, event: &str, cursor: Option<&[u8]>, message: &ServerMessage, out: &mut FramesBuilder) {
        self.say(event, cursor, out, |buffer| {
            buffer.extend_from_slice(message.to_json().as_bytes())
        });
    }

    /// Appends one message in this feed's format. Raw clients are told nothing but values.
    pub(crate) fn say(
        &self,
        event: &str,
        cursor: Option<&[u8]>,
        out: &mut FramesBuilder,
        write_json: impl FnOnce(&mut Vec<u8>),
    ) {
        match self.format {
            Format::Raw => {}
            Format::V1 => {
                let start = out.start_message();
                write_json(&mut out.buffer);
                out.seal_message(start, Opcode::Text);
            }
            Format::Sse => {
                if let Some(cursor) = cursor {
                    out.buffer.extend_from_slice(b"id: ");
                    out.buffer.extend_from_slice(cursor);
                    out.buffer.push(b'\n');
                }
                out.buffer.extend_from_slice(b"event: ");
                out.buffer.extend_from_slice(event.as_bytes());
                out.buffer.extend_from_slice(b"\ndata: ");
                let start = out.buffer.len();
                write_json(&mut out.buffer);
                as_one_line(&mut out.buffer[start..]);
                remove_sub(&mut out.buffer, start);
                out.buffer.extend_from_slice(b"\n\n");
            }
        }
    }

    /// One message as a block of its own.
    pub(crate) fn block(&self, next_place: u64, write: impl FnOnce(&Voice, &mut FramesBuilder)) -> Frames {
        let mut out = FramesBuilder::default();
        write(self, &mut out);
        if out.len() > 0 {
            out.end(next_place, 0);
        }
        out.take()
    }
}

fn reset_sentence(reason: ResetReason) -> &'static str {
    match reason {
        ResetReason::OtherEpoch => "the topic was made anew since the cursor was given out",
        ResetReason::OtherTopic => "the cursor belongs to another topic",
        ResetReason::Expired => "the log no longer keeps what came after the cursor",
        ResetReason::FellBehind => "this client was so slow that the log no longer keeps what comes next",
        ResetReason::Truncated => "the table was truncated",
        _ => "the subscription begins anew",
    }
}

/// Line breaks in well-formed JSON are white space, and would end an event's line.
fn as_one_line(json: &mut [u8]) {
    while let Some(at) = memchr::memchr2(b'\n', b'\r', json) {
        json[at] = b' ';
    }
}

/// An event stream has one subscription, whose number says nothing: cuts `,"sub":7` out of the message at `start`.
fn remove_sub(buffer: &mut Vec<u8>, start: usize) {
    const MEMBER: &[u8] = b",\"sub\":";
    let head = &buffer[start..buffer.len().min(start + 32)];
    let Some(at) = memchr::memmem::find(head, MEMBER) else {
        return;
    };
    let from = start + at;
    let digits = buffer[from + MEMBER.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    buffer.drain(from..from + MEMBER.len() + digits);
}
