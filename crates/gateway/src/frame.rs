//! The WebSocket frame (RFC 6455), server side, so that a frame is built once for everyone and clients are read
//! strictly.
//!
//! Promises: [`Decoder`] gives the same messages however the bytes are split, never panics, allocates for what has
//! arrived and not for what a header claims, and refuses at the first wrong byte (mask missing, reserved bits,
//! fragmented or long control frames, text that is not UTF-8, close codes that may not be sent).
//! Knows nothing of sockets or of what messages mean.

/// Longest header of a server frame: no mask.
pub const HEADER_BYTES_MAX: usize = 10;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// Ends the session.
    Close,
    /// Asks for a pong with the same payload.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    fn bits(self) -> u8 {
        match self {
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }
}

/// Writes the header of an unfragmented server frame to the end of `header` and tells where it starts.
pub fn encode_header(opcode: Opcode, payload_len: usize, header: &mut [u8; HEADER_BYTES_MAX]) -> usize {
    let first = 0x80 | opcode.bits();
    match payload_len {
        0..=125 => {
            header[8..].copy_from_slice(&[first, payload_len as u8]);
            8
        }
        126..=0xFFFF => {
            header[6..8].copy_from_slice(&[first, 126]);
            header[8..].copy_from_slice(&(payload_len as u16).to_be_bytes());
            6
        }
        _ => {
            header[..2].copy_from_slice(&[first, 127]);
            header[2..].copy_from_slice(&(payload_len as u64).to_be_bytes());
            0
        }
    }
}

/// A whole server frame.
pub fn encode(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER_BYTES_MAX];
    let start = encode_header(opcode, payload.len(), &mut header);
    [&header[start..], payload].concat()
}

/// A close frame: the code, then the reason cut to the 123 bytes that fit.
pub fn encode_close(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    encode(
        Opcode::Close,
        &[&code.to_be_bytes(), &reason.as_bytes()[..end]].concat(),
    )
}

/// A message or control frame from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message, its fragments joined.
    Text(String),
    /// A binary message, its fragments joined.
    Binary(Vec<u8>),
    /// At most 125 bytes.
    Ping(Vec<u8>),
    /// At most 125 bytes.
    Pong(Vec<u8>),
    /// The client's code, if it sent one.
    Close(Option<u16>),
}

/// Why a client's bytes were refused: the close code to answer with, and a sentence for its developer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// 1002, 1007 or 1009 (RFC 6455, section 7.4.1).
    pub code: u16,
    /// What was wrong.
    pub reason: &'static str,
}

const fn protocol(reason: &'static str) -> Violation {
    Violation { code: 1002, reason }
}

const NOT_UTF8: Violation = Violation {
    code: 1007,
    reason: "text is not UTF-8",
};

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct DecoderLimits {
    /// Bytes of one message.
    pub message_bytes_max: usize,
    /// Fragments of one message.
    pub fragments_max: usize,
}

/// Reads a client's frames from whatever pieces arrive. Idle, it holds no heap memory.
#[derive(Debug, Default)]
pub struct Decoder {
    header: [u8; 14],
    header_len: u8,
    frame: Option<Frame>,
    /// The message whose fragments are arriving.
    text: Option<bool>,
    fragments: u32,
    message: Vec<u8>,
    /// Bytes of `message` known to be whole characters.
    valid_utf8: usize,
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Payload bytes still to come, and those already here (the mask's phase).
    left: usize,
    seen: usize,
}

impl Frame {
    fn is_control(self) -> bool {
        self.opcode & 0x8 != 0
    }
}

impl Decoder {
    /// Takes bytes from the front of `input` (unmasking them in place) until a message is whole; `None` when all were
    /// taken. After an error the connection is lost: answer with the violation's code.
    pub fn decode(&mut self, input: &mut &mut [u8], limits: &DecoderLimits) -> Result<Option<Message>, Violation> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.take_header(input, limits)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let frame = self.take_payload(frame, input)?;
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok(None);
            }
            self.frame = None;
            if let Some(message) = self.finish_frame(frame)? {
                return Ok(Some(message));
            }
        }
    }

    fn take_header(&mut self, input: &mut &mut [u8], limits: &DecoderLimits) -> Result<Option<Frame>, Violation> {
        loop {
            let have = usize::from(self.header_len);
            let need = header_len(&self.header[..have]);
            if have >= 1 {
                self.check_first_byte(self.header[0])?;
            }
            if have >= 2 {
                check_second_byte(self.header[0], self.header[1])?;
            }
            if have == need {
                self.header_len = 0;
                let header = self.header;
                return self.start_frame(&header[..need], limits).map(Some);
            }
            // Byte by byte through the first two, so that a wrong one is refused before more arrive.
            let take = if have < 2 { 1 } else { need - have }.min(input.len());
            if take == 0 {
                return Ok(None);
            }
            self.header[have..have + take].copy_from_slice(&input[..take]);
            self.header_len += take as u8;
            advance(input, take);
        }
    }

    fn check_first_byte(&self, first: u8) -> Result<(), Violation> {
        if first & 0x70 != 0 {
            return Err(protocol("reserved bits are set, but no extension was agreed on"));
        }
        match (first & 0x0F, self.text.is_some()) {
            (0x0, false) => Err(protocol("a continuation without a message to continue")),
            (0x1 | 0x2, true) => Err(protocol("a new message inside a fragmented one")),
            (0x0..=0x2 | 0x8..=0xA, _) => Ok(()),
            _ => Err(protocol("unknown opcode")),
        }
    }

    fn start_frame(&mut self, header: &[u8], limits: &DecoderLimits) -> Result<Frame, Violation> {
        let (length, mask) = header[2..].split_at(header.len() - 6);
        let claimed = match length {
            [] => u64::from(header[1] & 0x7F),
            bytes => bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
        };
        if claimed >> 63 != 0 {
            return Err(protocol("a length with its highest bit set"));
        }
        let opcode = header[0] & 0x0F;
        let mask = mask.try_into().expect("the header's length includes four mask bytes");
        let frame = Frame {
            fin: header[0] & 0x80 != 0,
            opcode,
            mask,
            left: claimed as usize,
            seen: 0,
        };
        if frame.is_control() {
            self.control = Vec::new();
            return Ok(frame);
        }
        let room = limits.message_bytes_max - self.message.len();
        if claimed > room as u64 {
            return Err(Violation {
                code: 1009,
                reason: "message too long",
            });
        }
        self.fragments += 1;
        if self.fragments as usize > limits.fragments_max {
            return Err(Violation {
                code: 1009,
                reason: "message in too many fragments",
            });
        }
        if opcode != 0 {
            self.text = Some(opcode == 0x1);
        }
        Ok(frame)
    }

    fn take_payload(&mut self, mut frame: Frame, input: &mut &mut [u8]) -> Result<Frame, Violation> {
        let take = frame.left.min(input.len());
        let payload = &mut input[..take];
        unmask(payload, frame.mask, frame.seen);
        if frame.is_control() {
            self.control.extend_from_slice(payload);
        } else {
            self.message.extend_from_slice(payload);
            self.check_text(frame.fin && take == frame.left)?;
        }
        advance(input, take);
        frame.left -= take;
        frame.seen += take;
        Ok(frame)
    }

    /// Refuses text at the first byte that no character can have, and a character cut off by the message's end.
    fn check_text(&mut self, whole: bool) -> Result<(), Violation> {
        if self.text != Some(true) {
            return Ok(());
        }
        match std::str::from_utf8(&self.message[self.valid_utf8..]) {
            Ok(text) => self.valid_utf8 += text.len(),
            Err(error) if whole || error.error_len().is_some() => return Err(NOT_UTF8),
            Err(error) => self.valid_utf8 += error.valid_up_to(),
        }
        Ok(())
    }

    fn finish_frame(&mut self, frame: Frame) -> Result<Option<Message>, Violation> {
        match frame.opcode {
            0x8 => parse_close(&std::mem::take(&mut self.control)).map(Some),
            0x9 => Ok(Some(Message::Ping(std::mem::take(&mut self.control)))),
            0xA => Ok(Some(Message::Pong(std::mem::take(&mut self.control)))),
            _ if !frame.fin => Ok(None),
            _ => {
                let bytes = std::mem::take(&mut self.message);
                self.fragments = 0;
                self.valid_utf8 = 0;
                match self.text.take() {
                    Some(true) => String::from_utf8(bytes)
                        .map(|text| Some(Message::Text(text)))
                        .map_err(|_| NOT_UTF8),
                    _ => Ok(Some(Message::Binary(bytes))),
                }
            }
        }
    }
}

fn advance(input: &mut &mut [u8], count: usize) {
    *input = &mut std::mem::take(input)[count..];
}

/// The header's length as far as its first bytes tell: at least 2, at most 14.
fn header_len(header: &[u8]) -> usize {
    match header.get(1).map(|second| second & 0x7F) {
        None => 2,
        Some(126) => 8,
        Some(127) => 14,
        Some(_) => 6,
    }
}

fn check_second_byte(first: u8, second: u8) -> Result<(), Violation> {
    if second & 0x80 == 0 {
        return Err(protocol("a client's frames must be masked"));
    }
    let control = first & 0x08 != 0;
    if control && second & 0x7F > 125 {
        return Err(protocol("a control frame longer than 125 bytes"));
    }
    if control && first & 0x80 == 0 {
        return Err(protocol("a fragmented control frame"));
    }
    Ok(())
}

fn unmask(payload: &mut [u8], mask: [u8; 4], phase: usize) {
    let mut mask = mask;
    mask.rotate_left(phase % 4);
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

fn parse_close(payload: &[u8]) -> Result<Message, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(Message::Close(None)),
            _ => Err(protocol("a close code of one byte")),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(protocol("a close code that may not be sent"));
    }
    std::str::from_utf8(reason).map_err(|_| Violation {
        code: 1007,
        reason: "the close reason is not UTF-8",
    })?;
    Ok(Message::Close(Some(code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: DecoderLimits = DecoderLimits {
        message_bytes_max: 64 * 1024,
        fragments_max: 1024,
    };

    fn client_frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            len @ 0..=125 => bytes.push(0x80 | len as u8),
            len @ 126..=0xFFFF => {
                bytes.push(0x80 | 126);
                bytes.extend((len as u16).to_be_bytes());
            }
            len => {
                bytes.push(0x80 | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn decode_all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Message>, Violation> {
        let mut decoder = Decoder::default();
        let mut messages = Vec::new();
        for piece in pieces {
            let mut piece = piece.to_vec();
            let mut input = &mut piece[..];
            while let Some(message) = decoder.decode(&mut input, &LIMITS)? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn control_frames_between_fragments_do_not_disturb_the_message() {
        let mut bytes = client_frame(0x01, "Grü".as_bytes(), [1, 2, 3, 4]);
        bytes.extend(client_frame(0x89, b"still there?", [9; 4]));
        bytes.extend(client_frame(0x80, "ße".as_bytes(), [4, 3, 2, 1]));
        let messages = decode_all([&bytes[..]].into_iter());
        let expected = vec![Message::Ping(b"still there?".to_vec()), Message::Text("Grüße".into())];
        assert_eq!(messages, Ok(expected));
    }

    #[test]
    fn a_claimed_length_of_2_to_the_63_is_refused_without_allocation() {
        let mut bytes = vec![0x82, 0xFF];
        bytes.extend((u64::MAX >> 1).to_be_bytes());
        bytes.extend([0; 4]);
        let refused = decode_all([&bytes[..]].into_iter());
        assert_eq!(refused.map_err(|violation| violation.code), Err(1009));
    }

    #[test]
    fn endless_empty_fragments_are_refused() {
        let mut bytes = client_frame(0x01, b"", [0; 4]);
        for _ in 0..LIMITS.fragments_max {
            bytes.extend(client_frame(0x00, b"", [0; 4]));
        }
        let refused = decode_all([&bytes[..]].into_iter());
        assert_eq!(refused.map_err(|violation| violation.code), Err(1009));
    }

    #[test]
    fn an_unmasked_frame_is_refused_at_its_second_byte() {
        assert_eq!(
            decode_all([&[0x81, 0x00][..]].into_iter()).map_err(|v| v.code),
            Err(1002)
        );
    }

    #[test]
    fn header_lengths_change_at_126_and_65536() {
        for (len, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            assert_eq!(encode(Opcode::Text, &vec![b'x'; len]).len(), len + header);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_splits_do_not_matter(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        ) {
            let _ = check_splits(&bytes, &cuts)?;
        }

        #[test]
        fn messages_come_out_the_same_however_they_are_split(
            payloads in proptest::collection::vec((any::<bool>(), ".{0,300}", any::<[u8; 4]>()), 1..6),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
        ) {
            let bytes: Vec<u8> = payloads
                .iter()
                .flat_map(|(text, payload, mask)| client_frame(if *text { 0x81 } else { 0x82 }, payload.as_bytes(), *mask))
                .collect();
            let whole = check_splits(&bytes, &cuts)?.expect("the frames are well formed");
            let expected: Vec<Message> = payloads
                .into_iter()
                .map(|(text, payload, _)| if text { Message::Text(payload) } else { Message::Binary(payload.into_bytes()) })
                .collect();
            prop_assert_eq!(whole, expected);
        }
    }

    fn check_splits(
        bytes: &[u8],
        cuts: &[proptest::sample::Index],
    ) -> Result<Result<Vec<Message>, Violation>, TestCaseError> {
        let mut ends: Vec<usize> = cuts
            .iter()
            .map(|cut| cut.index(bytes.len() + 1))
            .chain([0, bytes.len()])
            .collect();
        ends.sort_unstable();
        let whole = decode_all([bytes].into_iter());
        prop_assert_eq!(
            &whole,
            &decode_all(ends.windows(2).map(|pair| &bytes[pair[0]..pair[1]]))
        );
        Ok(whole)
    }
}
