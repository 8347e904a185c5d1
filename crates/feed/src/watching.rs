//! `Live/Watch` beside the generated server: what of a response is the same for all who
//! are told it comes encoded, once for all of them; what is each viewer's own stands
//! before it. To who reads them they are one message, as the fields of a protobuf
//! message may come in any order and in parts.

use crate::guarded::Guarded;
use crate::live_service::LiveService;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use bytes::{BufMut, Bytes};
use enroute_wire::{Message, v1};
use std::pin::Pin;
use std::sync::Arc;
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::server::{Grpc, ServerStreamingService};
use tonic_prost::ProstDecoder;

const PATH: &str = "/enroute.v1.Live/Watch";

/// One response of a watch.
pub(crate) struct Response {
    /// The viewer's own part: the whole of it where nothing is shared.
    pub(crate) own: v1::WatchResponse,
    /// The update, encoded as a field of a response.
    pub(crate) shared: Bytes,
}

/// Puts the method before those of the generated server.
pub(crate) fn route(
    router: axum::Router,
    service: Arc<LiveService>,
    request_bytes_max: usize,
) -> axum::Router {
    let watch = async move |request: Request| {
        let mut grpc =
            Grpc::new(Responses).apply_max_message_size_config(Some(request_bytes_max), None);
        let response = grpc.server_streaming(Watch(service), request).await;
        response.map(Body::new)
    };
    router.route(PATH, any(watch))
}

struct Watch(Arc<LiveService>);

impl ServerStreamingService<v1::WatchRequest> for Watch {
    type Response = Response;
    type ResponseStream = Guarded<Response>;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn call(&mut self, request: tonic::Request<v1::WatchRequest>) -> Self::Future {
        let service = Arc::clone(&self.0);
        Box::pin(async move { service.open(request).await })
    }
}

type Answer = Result<tonic::Response<Guarded<Response>>, Status>;

/// How responses are written, and requests are read.
#[derive(Clone, Copy)]
struct Responses;

impl Codec for Responses {
    type Encode = Response;
    type Decode = v1::WatchRequest;
    type Encoder = Self;
    type Decoder = ProstDecoder<v1::WatchRequest>;

    fn encoder(&mut self) -> Self::Encoder {
        *self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for Responses {
    type Item = Response;
    type Error = Status;

    fn encode(&mut self, response: Response, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(response.own.encoded_len() + response.shared.len());
        let own = response.own.encode(out);
        own.map_err(|error| Status::internal(error.to_string()))?;
        out.put(response.shared);
        Ok(())
    }
}
