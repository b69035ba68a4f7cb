//! THE CALLS OF LIBRDKAFKA THAT RDKAFKA HAS NO SAFE WAY TO, and nothing else: the only `unsafe` of Rowcast is here.
//!
//! [`describe_topics`] gives topic ids, which tell one life of a topic from another; [`header`] reads a record header
//! whose name another producer wrote, which need not be UTF-8; [`connect`] has a client connect now; [`Alarm`] wakes a thread
//! when a client has something to say. Knows nothing of Rowcast.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    ptr::NonNull,
    slice,
    thread::Thread,
    time::Duration,
};

use rdkafka::{
    bindings as sys,
    client::{Client, ClientContext},
    error::RDKafkaErrorCode,
    message::BorrowedHeaders,
};

/// A topic as its cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its topic id, a UUID as one number.
    pub id: u128,
    /// How many partitions it has.
    pub partitions: u32,
}

/// What the cluster says of one topic: what it is, or why it does not tell.
pub type Described = Result<Description, (String, RDKafkaErrorCode)>;

/// Asks any broker which brokers there are, and so connects: by itself a client does that when a timer of half a second or
/// a second ends. Blocks until the answer, or `timeout`.
pub fn connect<C: ClientContext>(client: &Client<C>, timeout: Duration) -> Result<(), RDKafkaErrorCode> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let (rk, mut metadata) = (client.native_ptr(), std::ptr::null());
    // SAFETY: `rk` lives as long as `client` is borrowed. Without a topic only those are asked for that the client knows
    // already. What comes is destroyed here, once, and not looked at.
    unsafe {
        let error = sys::rd_kafka_metadata(rk, 0, std::ptr::null_mut(), &mut metadata, timeout_ms);
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(error.into());
        }
        sys::rd_kafka_metadata_destroy(metadata);
    }
    Ok(())
}

/// Asks the cluster for topics; for each, in no certain order, what it is or why it is not known. Blocks until the
/// answer, or `timeout`.
pub fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    names: &[&str],
    timeout: Duration,
) -> Result<Vec<Described>, RDKafkaErrorCode> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Result<Vec<CString>, _> = names.iter().map(|name| CString::new(*name)).collect();
    let names = names.map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();
    // SAFETY: `rk` lives as long as `client` is borrowed. What is made here is destroyed by its `Owned`, the event (to
    // which the answers belong) after the last look at them. `pointers` and `names` outlive the collection's making,
    // which copies them.
    unsafe {
        let collection = Owned::new(
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            sys::rd_kafka_TopicCollection_destroy,
        )?;
        let options = Owned::new(
            sys::rd_kafka_AdminOptions_new(rk, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            sys::rd_kafka_AdminOptions_destroy,
        )?;
        let mut why = [0; 256];
        sys::rd_kafka_AdminOptions_set_request_timeout(options.get(), timeout_ms, why.as_mut_ptr(), why.len());
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy)?;
        sys::rd_kafka_DescribeTopics(rk, collection.get(), options.get(), queue.get());
        let event = Owned::new(
            // The request's own timeout ends the wait.
            sys::rd_kafka_queue_poll(queue.get(), -1),
            sys::rd_kafka_event_destroy,
        )?;
        let error = sys::rd_kafka_event_error(event.get());
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(error.into());
        }
        let result = NonNull::new(sys::rd_kafka_event_DescribeTopics_result(event.get()).cast_mut());
        let result = result.ok_or(RDKafkaErrorCode::BadMessage)?;
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result.as_ptr(), &mut count);
        if topics.is_null() || count == 0 {
            return Ok(Vec::new());
        }
        let topics = slice::from_raw_parts(topics, count);
        Ok(topics.iter().map(|topic| description(*topic)).collect())
    }
}

/// Reads one description.
///
/// # Safety
///
/// `topic` belongs to an event that is still there.
unsafe fn description(topic: *const sys::rd_kafka_TopicDescription_t) -> Described {
    // SAFETY: as promised by the caller; librdkafka gives name and id of every description.
    unsafe {
        let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
        let name = name.to_string_lossy().into_owned();
        let error = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic));
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err((name, error.into()));
        }
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let high = sys::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
        let low = sys::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
        Ok(Description {
            name,
            id: u128::from(high) << 64 | u128::from(low),
            partitions: u32::try_from(partitions).unwrap_or(u32::MAX),
        })
    }
}

/// A record's header by its place: its name, up to a byte 0, and its value. `None` after the last.
pub fn header(headers: &BorrowedHeaders, place: usize) -> Option<(&[u8], Option<&[u8]>)> {
    let (mut name, mut value, mut bytes) = (std::ptr::null(), std::ptr::null(), 0);
    let native = std::ptr::from_ref(headers).cast::<sys::rd_kafka_headers_t>();
    // SAFETY: rdkafka makes a `BorrowedHeaders` from nothing but a pointer to librdkafka's headers, and lends it for as
    // long as they are there. Name and value belong to them.
    unsafe {
        let error = sys::rd_kafka_header_get_all(native, place, &mut name, &mut value, &mut bytes);
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let value = NonNull::new(value.cast_mut()).map(|value| slice::from_raw_parts(value.as_ptr().cast(), bytes));
        Some((CStr::from_ptr(name).to_bytes(), value))
    }
}

/// Unparks a thread whenever the client's main queue, empty until then, has an event.
///
/// With it a thread can wait without a timeout, which rdkafka's `poll` cannot: the last part of a millisecond of its timeout
/// it spends spinning.
pub struct Alarm<'a, C: ClientContext> {
    queue: Owned<sys::rd_kafka_queue_t>,
    /// Where librdkafka finds it: boxed, so that it stays there.
    _thread: Box<Thread>,
    _client: &'a Client<C>,
}

impl<'a, C: ClientContext> Alarm<'a, C> {
    /// From now on, until it is dropped.
    pub fn set(client: &'a Client<C>, thread: Thread) -> Result<Alarm<'a, C>, RDKafkaErrorCode> {
        let thread = Box::new(thread);
        // SAFETY: the client, and with it its main queue, outlives the alarm. The callback's pointer is good until
        // `drop` has taken the callback away.
        unsafe {
            let queue = Owned::new(
                sys::rd_kafka_queue_get_main(client.native_ptr()),
                sys::rd_kafka_queue_destroy,
            )?;
            let place = std::ptr::from_ref(&*thread).cast_mut().cast();
            sys::rd_kafka_queue_cb_event_enable(queue.get(), Some(unpark), place);
            Ok(Alarm {
                queue,
                _thread: thread,
                _client: client,
            })
        }
    }

    /// True while events wait. The next one unparks the thread only after this was false.
    pub fn rings(&self) -> bool {
        // SAFETY: the queue is ours until `drop`.
        unsafe { sys::rd_kafka_queue_length(self.queue.get()) > 0 }
    }
}

impl<C: ClientContext> Drop for Alarm<'_, C> {
    fn drop(&mut self) {
        // SAFETY: librdkafka takes the callback away under the lock under which it calls it: no call comes after this.
        unsafe { sys::rd_kafka_queue_cb_event_enable(self.queue.get(), None, std::ptr::null_mut()) }
    }
}

unsafe extern "C" fn unpark(_: *mut sys::rd_kafka_t, thread: *mut c_void) {
    // SAFETY: `Alarm::set` gave the address of a thread that the alarm keeps.
    unsafe { (*thread.cast::<Thread>()).unpark() }
}

/// Something of librdkafka's that is destroyed when it is dropped.
struct Owned<T> {
    pointer: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Owned<T>, RDKafkaErrorCode> {
        let pointer = NonNull::new(pointer).ok_or(RDKafkaErrorCode::Fail)?;
        Ok(Owned { pointer, destroy })
    }

    fn get(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: made by librdkafka together with its destructor, and destroyed only here.
        unsafe { (self.destroy)(self.pointer.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header, OwnedHeaders};

    use super::header;

    #[test]
    fn headers_come_in_their_order_with_and_without_values() {
        let headers = OwnedHeaders::new().insert(Header {
            key: "a",
            value: Some(b"1"),
        });
        let headers = headers.insert(Header {
            key: "",
            value: None::<&[u8]>,
        });
        let headers = headers.insert(Header {
            key: "a",
            value: Some(b""),
        });
        let read: Vec<_> = (0..4).map(|place| header(headers.as_borrowed(), place)).collect();
        let (a, empty): (&[u8], &[u8]) = (b"a", b"");
        assert_eq!(
            read,
            [
                Some((a, Some(&b"1"[..]))),
                Some((empty, None)),
                Some((a, Some(empty))),
                None
            ]
        );
    }
}
