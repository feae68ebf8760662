//! Data types: how an element of each lies in memory, in NumPy's terms.

use zarrs::array::DataType;
use zarrs::plugin::{ExtensionName, ZarrVersion};

/// How one element lies in memory. Elements are always in native byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DType {
    /// Bytes an element; 0 for variable-length types.
    pub itemsize: usize,
    pub alignment: usize,
    /// NumPy's `__array_interface__` type string.
    pub typestr: String,
    /// Zarr's name.
    pub name: String,
}

impl DType {
    pub fn new(data_type: &DataType) -> Self {
        let name = data_type
            .name(ZarrVersion::V3)
            .or_else(|| data_type.name(ZarrVersion::V2))
            .map_or_else(|| "unknown".to_owned(), |name| name.into_owned());
        match data_type.fixed_size() {
            Some(itemsize) if !data_type.is_optional() => {
                let (kind, alignment) = kind_and_alignment(&name, itemsize);
                let typestr = typestr(kind, itemsize, data_type);
                Self { itemsize, alignment, typestr, name }
            }
            _ => Self { itemsize: 0, alignment: 1, typestr: "|O".to_owned(), name },
        }
    }

    pub fn is_variable(&self) -> bool {
        self.itemsize == 0
    }
}

/// NumPy's kind letter of a Zarr data type, and its alignment. `V` (raw bytes) stands for what NumPy does not know.
fn kind_and_alignment(name: &str, itemsize: usize) -> (char, usize) {
    match name {
        "bool" => ('b', 1),
        "int8" | "int16" | "int32" | "int64" => ('i', itemsize),
        "uint8" | "uint16" | "uint32" | "uint64" => ('u', itemsize),
        "float16" | "float32" | "float64" => ('f', itemsize),
        "complex64" | "complex128" | "complex_float32" | "complex_float64" => ('c', itemsize / 2),
        "numpy.datetime64" => ('M', itemsize),
        "numpy.timedelta64" => ('m', itemsize),
        "fixed_length_utf32" => ('U', 4),
        "bfloat16" => ('V', 2),
        _ => ('V', 1),
    }
}

fn typestr(kind: char, itemsize: usize, data_type: &DataType) -> String {
    let order = match (kind, itemsize) {
        ('V' | 'U', 1) | ('b' | 'i' | 'u', 1) => '|',
        _ if cfg!(target_endian = "big") => '>',
        _ => '<',
    };
    match kind {
        'U' => format!("{order}U{}", itemsize / 4),
        'M' | 'm' => format!("{order}{kind}8{}", time_unit(data_type)),
        'V' if itemsize != 2 => format!("|V{itemsize}"),
        _ => format!("{order}{kind}{itemsize}"),
    }
}

/// The `[10ns]` of a NumPy time type; empty for the generic unit.
fn time_unit(data_type: &DataType) -> String {
    let configuration = data_type.configuration_v3();
    let unit = configuration.get("unit").and_then(|unit| unit.as_str()).unwrap_or("generic");
    let scale = configuration.get("scale_factor").and_then(serde_json::Value::as_u64).unwrap_or(1);
    match (unit, scale) {
        ("generic", _) => String::new(),
        (unit, 1) => format!("[{unit}]"),
        (unit, scale) => format!("[{scale}{unit}]"),
    }
}
