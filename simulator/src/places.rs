//! Made-up hospitals at real coordinates: northern Laos and central Yunnan.

use enroute_model::registry::Place;

/// A place by name and degrees × 10^7.
pub(crate) fn place(name: &str, latitude_e7: i32, longitude_e7: i32) -> Place {
    Place {
        name: name.to_owned(),
        latitude_e7,
        longitude_e7,
    }
}

/// Where the showcase begins: a town south of Luang Prabang, Laos.
pub(crate) fn showcase_origin() -> Place {
    place(
        "Two Rivers Hospital, Xieng Ngeun",
        198_765_000,
        1_021_310_000,
    )
}

/// Luang Prabang's airfield.
pub(crate) fn showcase_departure() -> Place {
    place("Luang Prabang airport", 198_973_000, 1_021_608_000)
}

/// Kunming's airport.
pub(crate) fn showcase_arrival() -> Place {
    place("Kunming Changshui airport", 251_019_000, 1_029_292_000)
}

/// Where the showcase ends: Kunming, China.
pub(crate) fn showcase_hospital() -> Place {
    place(RECEIVING[0].0, RECEIVING[0].1, RECEIVING[0].2)
}

/// Receiving hospitals.
pub(crate) const RECEIVING: [(&str, i32, i32); 2] = [
    (
        "Spring City Medical Centre, Kunming",
        250_480_000,
        1_027_050_000,
    ),
    ("Dianchi Lake Hospital, Kunming", 249_730_000, 1_026_720_000),
];

/// Where ambulances come from.
pub(crate) const SENDING: [(&str, i32, i32); 12] = [
    ("Yuxi Lakes Hospital", 243_518_000, 1_025_469_000),
    ("Qujing Plain Hospital", 254_900_000, 1_037_963_000),
    ("Chuxiong Valley Hospital", 250_450_000, 1_015_280_000),
    ("Anning Springs Clinic", 249_190_000, 1_024_780_000),
    ("Songming Field Hospital", 253_390_000, 1_030_370_000),
    ("Chenggong New Town Clinic", 248_850_000, 1_028_210_000),
    ("Yiliang Orchard Hospital", 249_200_000, 1_031_410_000),
    ("Shilin Stone Forest Clinic", 247_700_000, 1_032_900_000),
    ("Fumin Bridge Clinic", 252_220_000, 1_024_970_000),
    ("Jinning South Shore Hospital", 246_690_000, 1_025_940_000),
    ("Luquan Hill Hospital", 255_510_000, 1_024_690_000),
    ("Xundian County Hospital", 255_580_000, 1_032_560_000),
];
