//! What hostile input may reach: each target takes any bytes, and must neither panic nor hang, nor take more memory than
//! the array that they are said to belong to can need. `main.rs` feeds them by a seeded mutator, cargo-fuzz (`fuzz/`) by
//! coverage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use zarrs::array::codec::api::{ArrayToBytesCodecTraits, CodecOptions};
use zarrs::array::{Array as Zarrs, ArrayBytes, ArrayMetadata};
use zarrs_c::engine::Dims;
use zarrs_c::engine::array::Array;
use zarrs_c::engine::codec::{Chain, ChunkCodec, Wanted};
use zarrs_c::engine::error::{Error, Status};
use zarrs_c::engine::grid::GridAxis;
use zarrs_c::engine::plan::{AxisSelection, Cells};
use zarrs_c::engine::read::{IoOptions, read};
use zarrs_c::engine::region::Region;
use zarrs_c::engine::runtime::{Runtime, RuntimeConfig};
use zarrs_c::engine::scratch::PageBuf;
use zarrs_c::storage::Store;
use zstd_safe::{CCtx, CParameter, DCtx, InBuffer, OutBuffer, compress_bound};

/// A target, by the name that its corpus has, and how to make inputs that are sound.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What libFuzzer has found, packed by `scripts/fuzz_corpus.py`.
    found: &'static [u8],
    /// Whether inputs are JSON, to be mutated as such.
    pub is_json: bool,
}

macro_rules! target {
    ($run:ident, $seeds:ident, is_json: $is_json:literal) => {
        Target {
            name: stringify!($run),
            run: $run,
            seeds: $seeds,
            found: include_bytes!(concat!("corpus/", stringify!($run), ".inputs")),
            is_json: $is_json,
        }
    };
}

pub const TARGETS: [Target; 5] = [
    target!(decoders, decoder_seeds, is_json: false),
    target!(shards, shard_seeds, is_json: false),
    target!(metadata, metadata_seeds, is_json: true),
    target!(planner, planner_seeds, is_json: false),
    target!(parts, part_seeds, is_json: false),
];

impl Target {
    /// The inputs that libFuzzer has found, each of which reaches something that no other does.
    pub fn found(&self) -> Vec<&'static [u8]> {
        let (mut inputs, mut packed) = (vec![], self.found);
        while let Some((len, rest)) = packed.split_first_chunk() {
            let (input, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
            inputs.push(input);
            packed = rest;
        }
        inputs
    }
}

/// Errors that hostile bytes may end in. A panic, though contained, is a bug.
fn assert_clear(error: &Error) {
    let allowed =
        [Status::Invalid, Status::Codec, Status::Unsupported, Status::Memory, Status::NotFound, Status::Io];
    assert!(allowed.contains(&error.status), "{:?}: {error}", error.status);
}

// ---- Decoders ----

const SHAPE: [u64; 2] = [12, 10];

/// Codec chains, with a data type that each takes.
static CHAINS: LazyLock<Vec<(Value, &'static str)>> = LazyLock::new(|| {
    let little = json!({"name": "bytes", "configuration": {"endian": "little"}});
    let blosc = |cname: &str, shuffle: &str, typesize: u64| {
        json!({"name": "blosc", "configuration":
            {"cname": cname, "clevel": 5, "shuffle": shuffle, "typesize": typesize, "blocksize": 0}})
    };
    let zstd = json!({"name": "zstd", "configuration": {"level": 1, "checksum": true}});
    let gzip = json!({"name": "gzip", "configuration": {"level": 1}});
    let zlib = json!({"name": "numcodecs.zlib", "configuration": {"level": 1}});
    let bz2 = json!({"name": "numcodecs.bz2", "configuration": {"level": 1}});
    let gdeflate = json!({"name": "zarrs.gdeflate", "configuration": {"level": 1}});
    let crc32c = json!({"name": "crc32c"});
    let transpose = json!({"name": "transpose", "configuration": {"order": [1, 0]}});
    let shard = |codecs: Value| {
        json!({"name": "sharding_indexed", "configuration": {"chunk_shape": [4, 5], "codecs": codecs,
            "index_codecs": [little.clone()], "index_location": "start"}})
    };
    let zfpy = |mode: Value| json!({"name": "numcodecs.zfpy", "configuration": mode});
    let pcodec = json!({"name": "numcodecs.pcodec", "configuration":
        {"level": 4, "mode_spec": "auto", "delta_spec": "auto", "paging_spec": "equal_pages_up_to"}});
    let chains = [
        (json!([little]), "float32"),
        (json!([{"name": "bytes", "configuration": {"endian": "big"}}, zstd]), "uint16"),
        (json!([little, zstd]), "float32"),
        (json!([little, zstd, crc32c]), "int64"),
        (json!([transpose, little, gzip]), "int32"),
        (json!([little, zlib]), "int16"),
        (json!([little, bz2]), "uint32"),
        (json!([little, gdeflate]), "uint64"),
        (json!([little, gzip, zstd, bz2]), "uint8"),
        (json!([little, blosc("lz4", "shuffle", 4)]), "float32"),
        (json!([little, blosc("zstd", "bitshuffle", 8)]), "float64"),
        (json!([little, blosc("blosclz", "noshuffle", 2)]), "uint16"),
        (json!([little, blosc("zlib", "shuffle", 1)]), "uint8"),
        (
            json!([little, {"name": "numcodecs.shuffle", "configuration": {"elementsize": 4}}, zstd]),
            "float32",
        ),
        (json!([little, {"name": "numcodecs.adler32"}]), "float32"),
        (json!([little, {"name": "numcodecs.fletcher32"}]), "float32"),
        (json!([{"name": "bitround", "configuration": {"keepbits": 7}}, little, zstd]), "float32"),
        (json!([{"name": "packbits"}]), "bool"),
        (json!([{"name": "packbits"}, gzip]), "int4"),
        (json!([pcodec]), "float64"),
        (json!([pcodec, zstd]), "int32"),
        (json!([pcodec]), "complex64"),
        (json!([{"name": "zfp", "configuration": {"mode": "reversible"}}]), "float32"),
        (json!([{"name": "zfp", "configuration": {"mode": "fixed_rate", "rate": 9.5}}]), "float64"),
        (json!([{"name": "zfp", "configuration": {"mode": "fixed_precision", "precision": 11}}]), "int32"),
        (json!([zfpy(json!({"mode": 4, "tolerance": 0.01}))]), "float64"),
        (json!([zfpy(json!({"mode": 2, "rate": 6.0}))]), "float32"),
        (json!([zfpy(json!({"mode": 5}))]), "int32"),
        (json!([shard(json!([little, zstd])), gzip]), "float32"),
        (json!([shard(json!([pcodec]))]), "int16"),
        (
            json!([shard(json!([{"name": "sharding_indexed", "configuration": {"chunk_shape": [2, 5],
            "codecs": [little, zstd], "index_codecs": [little, crc32c]}}]))]),
            "uint16",
        ),
    ];
    chains.to_vec()
});

fn array_json(codecs: &Value, dtype: &str) -> Value {
    json_of_shape(codecs, dtype, &SHAPE)
}

fn json_of_shape(codecs: &Value, dtype: &str, shape: &[u64]) -> Value {
    json!({
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": dtype, "codecs": codecs,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": match dtype { "bool" => json!(false), "complex64" => json!([0, 0]), _ => json!(0) },
    })
}

/// An array as zarrs sees it, and the codec of its chunks as we do.
fn opened(json: Value, shape: &[u64]) -> (Zarrs<()>, ChunkCodec) {
    let metadata: ArrayMetadata = serde_json::from_value(json.clone()).unwrap();
    let array =
        Zarrs::new_with_metadata(Arc::new(()), "/", metadata).unwrap_or_else(|e| panic!("{json}: {e}"));
    let ours = Chain::new(array.codecs(), array.data_type().clone(), array.fill_value().clone());
    let ours = ours.for_shape(shape).unwrap_or_else(|e| panic!("{json}: {e}"));
    (array, ours)
}

fn chain(i: usize) -> (Zarrs<()>, ChunkCodec) {
    let (codecs, dtype) = &CHAINS[i];
    opened(array_json(codecs, dtype), &SHAPE)
}

thread_local! {
    static CODECS: Vec<ChunkCodec> = (0..CHAINS.len()).map(|i| chain(i).1).collect();
}

/// The first byte chooses the chain, the rest is a chunk.
fn decoders(data: &[u8]) {
    let Some((which, encoded)) = data.split_first() else { return };
    CODECS.with(|codecs| {
        let codec = &codecs[*which as usize % codecs.len()];
        let mut buffers = [PageBuf::default(), PageBuf::default()];
        let len = codec.decoded_len();
        let decoded = codec.decode(encoded, &mut buffers, false).map(|decoded| decoded.bytes.into_owned());
        match &decoded {
            Ok(bytes) => assert_eq!(bytes.len(), len),
            Err(error) => assert_clear(error),
        }
        let room = buffers.iter().map(PageBuf::capacity).sum::<usize>();
        assert!(room <= 16 * len + (4 << 20), "{room} bytes of buffers for a chunk of {len}");
        if codec.is_c_order() {
            let mut out = vec![0; len];
            let direct = codec.decode_into(encoded, &mut buffers, &mut out);
            assert_eq!(direct.is_ok(), decoded.is_ok(), "{decoded:?}");
            assert!(decoded.is_err() || decoded.is_ok_and(|bytes| bytes == out));
        }
    });
}

fn decoder_seeds() -> Vec<Vec<u8>> {
    (0..CHAINS.len())
        .map(|i| {
            let (array, ours) = chain(i);
            // Small numbers are valid elements of every type.
            let elements: Vec<u8> = (0..ours.decoded_len()).map(|n| (n % 251 % 3 % 2) as u8).collect();
            let shape: Vec<_> = SHAPE.iter().map(|n| (*n).try_into().unwrap()).collect();
            let encoded = array.codecs().encode(
                ArrayBytes::from(elements.clone()),
                &shape,
                array.data_type(),
                array.fill_value(),
                &CodecOptions::default(),
            );
            let encoded = encoded.unwrap_or_else(|e| panic!("{}: {e}", CHAINS[i].0)).into_owned();
            let mut buffers = [PageBuf::default(), PageBuf::default()];
            let decoded = ours.decode(&encoded, &mut buffers, false);
            decoded.unwrap_or_else(|e| panic!("{}: {e}", CHAINS[i].0));
            let mut seed = vec![i as u8];
            seed.extend(encoded);
            seed
        })
        .collect()
}

// ---- Chunks of several blocks, of which a part is wanted ----

/// Of bytes; enough that zstd stops before the end.
const LONG: u64 = 300 << 10;

const PARTS: usize = 4;

fn long_chain(i: usize) -> (Zarrs<()>, ChunkCodec) {
    let zstd = |checksum| json!({"name": "zstd", "configuration": {"level": 1, "checksum": checksum}});
    let blosc = |cname: &str, shuffle: &str| {
        json!({"name": "blosc", "configuration":
            {"cname": cname, "clevel": 5, "shuffle": shuffle, "typesize": 4, "blocksize": 16384}})
    };
    let codecs = [
        json!([{"name": "bytes"}, zstd(false)]),
        json!([{"name": "bytes"}, zstd(true)]),
        json!([{"name": "bytes"}, blosc("lz4", "shuffle")]),
        json!([{"name": "bytes"}, blosc("zstd", "noshuffle")]),
    ];
    opened(json_of_shape(&codecs[i], "uint8", &[LONG]), &[LONG])
}

thread_local! {
    static LONG_CODECS: Vec<ChunkCodec> = (0..PARTS).map(|i| long_chain(i).1).collect();
}

/// The first byte chooses the chain, the next two what is wanted, the rest is a chunk.
fn parts(data: &[u8]) {
    let [which, a, b, encoded @ ..] = data else { return };
    let at = |n: u8| n as usize * (LONG as usize) / 256;
    let range = at(*a.min(b))..at(*a.max(b)) + 1;
    LONG_CODECS.with(|codecs| {
        let codec = &codecs[*which as usize % PARTS];
        let mut buffers = [PageBuf::default(), PageBuf::default()];
        let mut found = None;
        let mut parts = vec![0; LONG as usize];
        let mut told = |from: usize, bytes: &[u8]| {
            parts[from..from + bytes.len()].copy_from_slice(bytes);
            found = (from + bytes.len() >= range.end).then(|| parts[range.clone()].to_vec());
            from + bytes.len()
        };
        let wanted = Wanted { range: range.clone(), unit: 0, told: &mut told };
        let part = codec.decode_in_part(encoded, &mut buffers, wanted);
        match &part {
            Ok(decoded) => assert!((range.len()..=LONG as usize).contains(decoded), "{range:?}: {decoded}"),
            Err(error) => assert_clear(error),
        }
        assert!(part.is_err() || found.is_some(), "the last that was told has all that is wanted");
        if let Ok(whole) = codec.decode(encoded, &mut buffers, false) {
            assert!(part.is_ok(), "{part:?}");
            let found = found.unwrap();
            // A frame may look further back than it says: then some other bytes of its own are found.
            assert!(found == whole.bytes[range.clone()] || found == streamed(encoded)[range]);
        }
    });
}

/// What zstd's own streams make of a frame of `LONG` bytes.
fn streamed(frame: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; LONG as usize];
    let (mut from, mut to) = (InBuffer::around(frame), OutBuffer::around(&mut bytes[..]));
    let mut decoder = DCtx::create();
    while decoder.decompress_stream(&mut to, &mut from).unwrap() != 0 {}
    bytes
}

/// A frame of zstd whose blocks look back no further than 32 KiB.
fn narrow(elements: &[u8], checksum: bool) -> Vec<u8> {
    let (mut encoder, mut out) = (CCtx::create(), vec![0; compress_bound(elements.len())]);
    for parameter in [CParameter::WindowLog(15), CParameter::ChecksumFlag(checksum)] {
        encoder.set_parameter(parameter).unwrap();
    }
    let len = encoder.compress2(&mut out[..], elements).unwrap();
    out.truncate(len);
    out
}

fn part_seeds() -> Vec<Vec<u8>> {
    let elements: Vec<u8> = (0..LONG).map(|n| (n / 1000 * (n % 3) % 251) as u8).collect();
    let encode = |i: usize| {
        let (array, _) = long_chain(i);
        let encoded = array.codecs().encode(
            ArrayBytes::from(elements.clone()),
            &[LONG.try_into().unwrap()],
            array.data_type(),
            array.fill_value(),
            &CodecOptions::default(),
        );
        encoded.unwrap().into_owned()
    };
    let chunks =
        (0..PARTS).map(|i| (i, encode(i))).chain([false, true].map(|sum| (0, narrow(&elements, sum))));
    let seeds = |(i, chunk): (usize, Vec<u8>)| {
        [(0, 1), (100, 103), (0, 255)].map(|(a, b)| [&[i as u8, a, b], &chunk[..]].concat())
    };
    chunks.flat_map(seeds).collect()
}

// ---- Arrays in a folder ----

/// A folder of this thread's own, with a store of it.
struct Folder {
    path: PathBuf,
    store: Arc<Store>,
    _keep: tempfile::TempDir,
}

static RUNTIME: LazyLock<Arc<Runtime>> =
    LazyLock::new(|| Runtime::new(RuntimeConfig { codec_threads: 1, ..Default::default() }).unwrap());

impl Folder {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let path = keep.path().to_owned();
        let store = Store::open(&RUNTIME, path.to_str().unwrap(), &BTreeMap::new()).unwrap();
        Self { path, store, _keep: keep }
    }

    fn write(&self, key: &str, bytes: &[u8]) {
        let path = self.path.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Read a box and wait. The memory is exactly what the box needs.
fn read_box(array: &Arc<Array>, start: &[u64], shape: &[u64]) -> Result<Vec<u8>, Error> {
    let bytes = shape.iter().product::<u64>() as usize * array.dtype().itemsize;
    let mut memory = vec![0u8; bytes];
    let region = Region {
        array: array.clone(),
        start: start.into(),
        shape: shape.into(),
        step: None,
        data: memory.as_mut_ptr(),
        nbytes: bytes,
        strides: None,
    };
    // SAFETY: the memory outlives the read, which is waited for, and nobody else uses it.
    let operation = unsafe { read(&RUNTIME, vec![region], IoOptions::default(), None) }?;
    operation.wait(None).unwrap().completion.result.map(|_| memory)
}

// ---- Shards ----

static SHARDINGS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let little = json!({"name": "bytes", "configuration": {"endian": "little"}});
    let of = |codecs: Value, index_codecs: Value, location: &str| {
        json!([{"name": "sharding_indexed", "configuration":
            {"chunk_shape": [3, 5], "codecs": codecs, "index_codecs": index_codecs, "index_location": location}}])
    };
    vec![
        of(json!([little]), json!([little]), "end"),
        of(
            json!([little, {"name": "zstd", "configuration": {"level": 1, "checksum": false}}]),
            json!([little]),
            "start",
        ),
        of(json!([little, {"name": "crc32c"}]), json!([little, {"name": "crc32c"}]), "end"),
    ]
});

/// The first byte chooses the sharding and the box to read, the rest is the shard.
fn shards(data: &[u8]) {
    thread_local!(static FOLDER: Folder = Folder::new());
    let Some((which, shard)) = data.split_first() else { return };
    FOLDER.with(|folder| {
        let codecs = &SHARDINGS[*which as usize % SHARDINGS.len()];
        let array =
            Array::from_metadata(&folder.store, "", &array_json(codecs, "int32").to_string()).unwrap();
        folder.write("c/0/0", shard);
        let boxes: [([u64; 2], [u64; 2]); 3] = [([0, 0], SHAPE), ([4, 1], [3, 7]), ([11, 9], [1, 1])];
        let (start, shape) = boxes[*which as usize / 16 % boxes.len()];
        if let Err(error) = read_box(&array, &start, &shape) {
            assert_clear(&error);
            assert_eq!(error.key.as_deref(), Some("c/0/0"), "{error}");
        }
    });
}

fn shard_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![];
    for (i, codecs) in SHARDINGS.iter().enumerate() {
        let metadata: ArrayMetadata = serde_json::from_value(array_json(codecs, "int32")).unwrap();
        let array = Zarrs::new_with_metadata(Arc::new(()), "/", metadata).unwrap();
        let elements: Vec<u8> =
            (0..SHAPE[0] * SHAPE[1]).flat_map(|n| (n as u32 / 40).to_ne_bytes()).collect();
        let shape: Vec<_> = SHAPE.iter().map(|n| (*n).try_into().unwrap()).collect();
        let (data_type, fill_value) = (array.data_type(), array.fill_value());
        let encoded = array
            .codecs()
            .encode(ArrayBytes::from(elements), &shape, data_type, fill_value, &CodecOptions::default())
            .unwrap();
        for which in [i, i + 48, i + 96] {
            seeds.push([&[which as u8], &encoded[..]].concat());
        }
    }
    seeds
}

// ---- Metadata ----

/// The bytes are a metadata document, whose array is opened and read where there is something to read.
fn metadata(data: &[u8]) {
    thread_local!(static FOLDER: Folder = {
        let folder = Folder::new();
        for key in ["c/0/0", "c/0", "c", "0.0", "0", "0/0", "c.0.0"] {
            if !folder.path.join(key).exists() && !Path::new(key).ancestors().skip(1).any(|p| folder.path.join(p).is_file()) {
                folder.write(key, &[1; 64]);
            }
        }
        folder
    });
    let Ok(json) = std::str::from_utf8(data) else { return };
    FOLDER.with(|folder| match Array::from_metadata(&folder.store, "", json) {
        Err(error) => assert_clear(&error),
        Ok(array) => {
            let shape = array.shape().to_vec();
            let itemsize = array.dtype().itemsize;
            if shape.len() <= 16 && !shape.contains(&0) && (1..=4096).contains(&itemsize) {
                let last: Vec<u64> = shape.iter().map(|n| n - 1).collect();
                for start in [vec![0; shape.len()], last] {
                    if let Err(error) = read_box(&array, &start, &vec![1; shape.len()]) {
                        assert_clear(&error);
                    }
                }
            }
        }
    });
}

fn metadata_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Value> = CHAINS.iter().map(|(codecs, dtype)| array_json(codecs, dtype)).collect();
    seeds.extend(SHARDINGS.iter().map(|codecs| array_json(codecs, "int32")));
    let mut with = |changes: &[(&str, Value)]| {
        let mut json = array_json(&CHAINS[2].0, "float32");
        changes.iter().for_each(|(name, value)| json[*name] = value.clone());
        seeds.push(json);
    };
    let grid = |shapes: Value| json!({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": shapes}});
    with(&[("chunk_grid", grid(json!([[[3, 3], 2, 1], [4, [3, 2]]])))]);
    with(&[("chunk_grid", grid(json!([4, 5])))]);
    with(&[("chunk_key_encoding", json!({"name": "v2", "configuration": {"separator": "/"}}))]);
    with(&[(
        "chunk_key_encoding",
        json!({"name": "zarrs.default_suffix", "configuration": {"separator": "/", "suffix": ".zst"}}),
    )]);
    with(&[("dimension_names", json!(["y", null])), ("attributes", json!({"a": [1, {"b": null}]}))]);
    with(&[(
        "data_type",
        json!({"name": "numpy.datetime64", "configuration": {"unit": "ns", "scale_factor": 10}}),
    )]);
    with(&[
        ("data_type", json!({"name": "fixed_length_utf32", "configuration": {"length_bytes": 8}})),
        ("fill_value", json!("ab")),
    ]);
    with(&[("data_type", json!("r24")), ("fill_value", json!([1, 2, 3]))]);
    with(&[(
        "codecs",
        json!([{"name": "reshape", "configuration": {"shape": [[0, 1]]}}, {"name": "bytes", "configuration": {"endian": "little"}}]),
    )]);
    with(&[(
        "codecs",
        json!([{"name": "zarrs.squeeze"}, {"name": "bytes", "configuration": {"endian": "little"}}]),
    )]);
    with(&[(
        "codecs",
        json!([{"name": "numcodecs.fixedscaleoffset", "configuration":
        {"offset": 0, "scale": 10, "dtype": "<f4", "astype": "<i2"}}, {"name": "bytes", "configuration": {"endian": "little"}}]),
    )]);
    for (dtype, order, more) in [
        ("<f4", "C", json!({"compressor": {"id": "zlib", "level": 1}})),
        (
            ">i2",
            "F",
            json!({"compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}}),
        ),
        ("|V5", "C", json!({"compressor": null})),
        ("<U3", "C", json!({"compressor": {"id": "zstd", "level": 0}, "dimension_separator": "/"})),
        ("<f8", "C", json!({"filters": [{"id": "shuffle", "elementsize": 8}]})),
    ] {
        let mut json = json!({"zarr_format": 2, "shape": [9, 7], "chunks": [4, 3], "dtype": dtype, "order": order,
            "fill_value": null, "filters": null, "compressor": null, "attributes": {"x": 1}});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        seeds.push(json);
    }
    seeds.into_iter().map(|json| json.to_string().into_bytes()).collect()
}

// ---- Planner ----

/// Numbers out of bytes, zeros at the end.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    /// A number of any size, more often a small one.
    fn next(&mut self) -> u64 {
        let take = |this: &mut Self, n: usize| {
            let (head, rest) = this.0.split_at(n.min(this.0.len()));
            this.0 = rest;
            head.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte))
        };
        match take(self, 1) {
            kind @ 0..200 => kind % 50,
            200..230 => take(self, 2),
            _ => take(self, 8),
        }
    }
}

/// A selection of one to three dimensions: the cells hold each selected element once.
fn planner(data: &[u8]) {
    let mut numbers = Numbers(data);
    let ndim = 1 + (numbers.next() % 3) as usize;
    let (mut axes, mut selection) = (vec![], Dims::new());
    for _ in 0..ndim {
        let (axis, extent) = if numbers.next() % 3 == 0 {
            let sizes: Vec<u64> =
                (0..1 + numbers.next() % 20).map(|_| 1 + numbers.next() % (1 << 59)).collect();
            (GridAxis::rectilinear(&sizes), sizes.iter().sum())
        } else {
            let (size, extent) = (numbers.next().max(1), numbers.next().max(1));
            (GridAxis::regular(size, extent), extent)
        };
        let start = numbers.next() % extent;
        let (up, step) = (numbers.next() % 2 == 0, numbers.next().clamp(1, i64::MAX as u64));
        let room = if up { extent - 1 - start } else { start } / step;
        // An irregular axis walks the elements of a long step one by one, as a read of them does.
        let count = numbers.next()
            % room.saturating_add(1).min(if extent > 1 << 20 { 1 << 12 } else { u64::MAX })
            + 1;
        let step = if up { step as i64 } else { -(step as i64) };
        selection.push(AxisSelection { start, count, step });
        axes.push(axis);
    }
    let cells = Cells::new(selection.clone(), axes.clone().into());
    // Beyond 2^64 cells there is no memory to be filled.
    let total: u128 = selection.iter().map(|axis: &AxisSelection| u128::from(axis.count)).product();
    if total > 1 << 40 {
        return;
    }
    let all = cells.count();
    let mut elements = 0u128;
    for i in (0..all).take(500).chain(all.saturating_sub(100).max(500)..all) {
        let overlap = cells.get(i);
        let mut held = 1u128;
        for d in 0..ndim {
            let (inner, wanted) = (overlap.inner[d], selection[d]);
            let (start, size) = (axes[d].start(overlap.cell[d]), axes[d].size(overlap.cell[d]));
            let index =
                |axis: AxisSelection, k: u64| i128::from(axis.start) + i128::from(k) * i128::from(axis.step);
            let last = inner.count.checked_sub(1).expect("a cell that is listed holds something");
            for k in [0, last] {
                let within = index(inner, k);
                assert!((0..i128::from(size)).contains(&within), "{selection:?} {axes:?} {overlap:?}");
                assert_eq!(i128::from(start) + within, index(wanted, overlap.at[d] + k));
            }
            held *= u128::from(inner.count);
        }
        elements += held;
    }
    if all <= 500 {
        assert_eq!(elements, total, "{selection:?} {axes:?}");
    }
}

fn planner_seeds() -> Vec<Vec<u8>> {
    (0..24u8)
        .map(|seed| (0..40).map(|i: u8| i.wrapping_mul(37).wrapping_add(seed.wrapping_mul(101))).collect())
        .collect()
}
