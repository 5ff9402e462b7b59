//! The names of the checksum algorithms.

use super::crc::Model;
use super::sums::{Complement, Sum};

/// How a check value is computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parameters {
    /// A cyclic redundancy check of up to 8 bits.
    Bits8(&'static crc::Algorithm<u8>),
    /// Up to 16 bits.
    Bits16(&'static crc::Algorithm<u16>),
    /// Up to 32 bits.
    Bits32(&'static crc::Algorithm<u32>),
    /// Up to 64 bits.
    Bits64(&'static crc::Algorithm<u64>),
    /// Anything else.
    Sum(Sum),
}

impl Parameters {
    /// The model of a cyclic redundancy check, or what else it is.
    pub(super) fn model(self) -> Result<Model, Sum> {
        match self {
            Parameters::Bits8(algorithm) => Ok(algorithm.into()),
            Parameters::Bits16(algorithm) => Ok(algorithm.into()),
            Parameters::Bits32(algorithm) => Ok(algorithm.into()),
            Parameters::Bits64(algorithm) => Ok(algorithm.into()),
            Parameters::Sum(sum) => Err(sum),
        }
    }
}

/// Other names under which algorithms are known in protocol sheets, with those that the catalogue itself has.
#[rustfmt::skip]
const ALIASES: [(&str, &str); 90] = [
    ("bcc", "xor"),
    ("xor8", "xor"),
    ("mod256", "sum8"),
    ("lrc", "sum8-negated"),
    ("toledo", "sum7-negated"),
    ("ubx", "fletcher-16/ubx"),
    ("crc-8", "crc-8/smbus"),
    ("crc-8/maxim", "crc-8/maxim-dow"),
    ("maxim", "crc-8/maxim-dow"),
    ("dow", "crc-8/maxim-dow"),
    ("dow-crc", "crc-8/maxim-dow"),
    ("crc-8/egts", "crc-8/nrsc-5"),
    ("crc-8/aes", "crc-8/tech-3250"),
    ("crc-8/ebu", "crc-8/tech-3250"),
    ("crc-10", "crc-10/atm"),
    ("crc-10/i-610", "crc-10/atm"),
    ("crc-11", "crc-11/flexray"),
    ("crc-12/3gpp", "crc-12/umts"),
    ("crc-15", "crc-15/can"),
    ("arc", "crc-16/arc"),
    ("ibm", "crc-16/arc"),
    ("crc-ibm", "crc-16/arc"),
    ("crc-16", "crc-16/arc"),
    ("crc-16/ibm", "crc-16/arc"),
    ("crc-16/lha", "crc-16/arc"),
    ("r-crc-16", "crc-16/dect-r"),
    ("x-crc-16", "crc-16/dect-x"),
    ("dnp", "crc-16/dnp"),
    ("en-13757", "crc-16/en-13757"),
    ("genibus", "crc-16/genibus"),
    ("crc-16/darc", "crc-16/genibus"),
    ("crc-16/epc", "crc-16/genibus"),
    ("crc-16/epc-c1g2", "crc-16/genibus"),
    ("crc-16/i-code", "crc-16/genibus"),
    ("ccitt-false", "crc-16/ibm-3740"),
    ("crc-16/ccitt-false", "crc-16/ibm-3740"),
    ("crc-16/autosar", "crc-16/ibm-3740"),
    ("x-25", "crc-16/ibm-sdlc"),
    ("x25", "crc-16/ibm-sdlc"),
    ("crc-16/x-25", "crc-16/ibm-sdlc"),
    ("crc-16/iso-hdlc", "crc-16/ibm-sdlc"),
    ("crc-16/iso-iec-14443-3-b", "crc-16/ibm-sdlc"),
    ("crc-b", "crc-16/ibm-sdlc"),
    ("crc-a", "crc-16/iso-iec-14443-3-a"),
    ("kermit", "crc-16/kermit"),
    ("ccitt", "crc-16/kermit"),
    ("crc-ccitt", "crc-16/kermit"),
    ("crc-16/ccitt", "crc-16/kermit"),
    ("crc-16/ccitt-true", "crc-16/kermit"),
    ("crc-16/bluetooth", "crc-16/kermit"),
    ("crc-16/v-41-lsb", "crc-16/kermit"),
    ("crc-16/maxim", "crc-16/maxim-dow"),
    ("mcrf4xx", "crc-16/mcrf4xx"),
    ("modbus", "crc-16/modbus"),
    ("crc-16/iec-61158-2", "crc-16/profibus"),
    ("profibus", "crc-16/profibus"),
    ("aug-ccitt", "crc-16/spi-fujitsu"),
    ("crc-16/aug-ccitt", "crc-16/spi-fujitsu"),
    ("crc-16/buypass", "crc-16/umts"),
    ("crc-16/verifone", "crc-16/umts"),
    ("usb", "crc-16/usb"),
    ("xmodem", "crc-16/xmodem"),
    ("crc-16/acorn", "crc-16/xmodem"),
    ("crc-16/lte", "crc-16/xmodem"),
    ("crc-16/v-41-msb", "crc-16/xmodem"),
    ("crc-16/zmodem", "crc-16/xmodem"),
    ("crc-24", "crc-24/openpgp"),
    ("crc-24q", "crc-24/lte-a"),
    ("crc-32q", "crc-32/aixm"),
    ("crc-32d", "crc-32/base91-d"),
    ("crc-32/aal5", "crc-32/bzip2"),
    ("crc-32/dect-b", "crc-32/bzip2"),
    ("b-crc-32", "crc-32/bzip2"),
    ("cksum", "crc-32/cksum"),
    ("crc-32/posix", "crc-32/cksum"),
    ("crc-32c", "crc-32/iscsi"),
    ("crc-32/base91-c", "crc-32/iscsi"),
    ("crc-32/castagnoli", "crc-32/iscsi"),
    ("crc-32/interlaken", "crc-32/iscsi"),
    ("crc-32/nvme", "crc-32/iscsi"),
    ("crc-32", "crc-32/iso-hdlc"),
    ("crc-32/adccp", "crc-32/iso-hdlc"),
    ("crc-32/ethernet", "crc-32/iso-hdlc"),
    ("crc-32/pkzip", "crc-32/iso-hdlc"),
    ("crc-32/v-42", "crc-32/iso-hdlc"),
    ("crc-32/xz", "crc-32/iso-hdlc"),
    ("jamcrc", "crc-32/jamcrc"),
    ("xfer", "crc-32/xfer"),
    ("crc-64", "crc-64/ecma-182"),
    ("crc-64/go-ecma", "crc-64/xz"),
];

/// The algorithm of a name or alias, with the name of the catalogue.
pub(super) fn find(name: &str) -> Option<(&'static str, Parameters)> {
    let wanted = plain(name);
    let alias = ALIASES.iter().find(|(alias, _)| plain(alias) == wanted);
    let wanted = alias.map_or(wanted, |(_, name)| plain(name));
    let found = ALGORITHMS.iter().find(|(name, _)| plain(name) == wanted);
    found.copied()
}

/// Every name and alias.
pub(super) fn names() -> Vec<&'static str> {
    let names = ALGORITHMS.iter().map(|(name, _)| *name);
    names
        .chain(ALIASES.iter().map(|(alias, _)| *alias))
        .collect()
}

/// Every name with its aliases.
pub(super) fn with_aliases() -> Vec<(&'static str, Vec<&'static str>)> {
    let aliases = |name: &str| {
        let mut all = ALIASES.iter();
        let own = all.by_ref().filter(|(_, known)| *known == name);
        own.map(|(alias, _)| *alias).collect()
    };
    ALGORITHMS
        .iter()
        .map(|(name, _)| (*name, aliases(name)))
        .collect()
}

/// Protocol sheets write `CRC_16_MODBUS`, `crc-16/modbus` and `crc-16-modbus` for the same.
fn plain(name: &str) -> String {
    name.to_lowercase().replace(['/', '_', ' '], "-")
}

const fn added(bits: u8, complement: Complement) -> Sum {
    Sum::Add { bits, complement }
}

/// The catalogue of parametrised CRC algorithms, but for the one that is wider than 64 bits, and simpler sums.
#[rustfmt::skip]
static ALGORITHMS: [(&str, Parameters); 129] = [
    ("xor", Parameters::Sum(Sum::Xor)),
    ("sum7", Parameters::Sum(added(7, Complement::No))),
    ("sum7-negated", Parameters::Sum(added(7, Complement::Negated))),
    ("sum8", Parameters::Sum(added(8, Complement::No))),
    ("sum8-negated", Parameters::Sum(added(8, Complement::Negated))),
    ("sum8-inverted", Parameters::Sum(added(8, Complement::Inverted))),
    ("sum16", Parameters::Sum(added(16, Complement::No))),
    ("sum16-negated", Parameters::Sum(added(16, Complement::Negated))),
    ("sum16-inverted", Parameters::Sum(added(16, Complement::Inverted))),
    ("sum32", Parameters::Sum(added(32, Complement::No))),
    ("sum32-negated", Parameters::Sum(added(32, Complement::Negated))),
    ("sum32-inverted", Parameters::Sum(added(32, Complement::Inverted))),
    ("fletcher-16", Parameters::Sum(Sum::Fletcher)),
    ("fletcher-16/ubx", Parameters::Sum(Sum::FletcherUbx)),
    ("adler-32", Parameters::Sum(Sum::Adler)),
    ("luhn", Parameters::Sum(Sum::Luhn)),
    ("nmea", Parameters::Sum(Sum::Nmea)),
    ("crc-3/gsm", Parameters::Bits8(&crc::CRC_3_GSM)),
    ("crc-3/rohc", Parameters::Bits8(&crc::CRC_3_ROHC)),
    ("crc-4/g-704", Parameters::Bits8(&crc::CRC_4_G_704)),
    ("crc-4/interlaken", Parameters::Bits8(&crc::CRC_4_INTERLAKEN)),
    ("crc-5/epc-c1g2", Parameters::Bits8(&crc::CRC_5_EPC_C1G2)),
    ("crc-5/g-704", Parameters::Bits8(&crc::CRC_5_G_704)),
    ("crc-5/usb", Parameters::Bits8(&crc::CRC_5_USB)),
    ("crc-6/cdma2000-a", Parameters::Bits8(&crc::CRC_6_CDMA2000_A)),
    ("crc-6/cdma2000-b", Parameters::Bits8(&crc::CRC_6_CDMA2000_B)),
    ("crc-6/darc", Parameters::Bits8(&crc::CRC_6_DARC)),
    ("crc-6/g-704", Parameters::Bits8(&crc::CRC_6_G_704)),
    ("crc-6/gsm", Parameters::Bits8(&crc::CRC_6_GSM)),
    ("crc-7/mmc", Parameters::Bits8(&crc::CRC_7_MMC)),
    ("crc-7/rohc", Parameters::Bits8(&crc::CRC_7_ROHC)),
    ("crc-7/umts", Parameters::Bits8(&crc::CRC_7_UMTS)),
    ("crc-8/autosar", Parameters::Bits8(&crc::CRC_8_AUTOSAR)),
    ("crc-8/bluetooth", Parameters::Bits8(&crc::CRC_8_BLUETOOTH)),
    ("crc-8/cdma2000", Parameters::Bits8(&crc::CRC_8_CDMA2000)),
    ("crc-8/darc", Parameters::Bits8(&crc::CRC_8_DARC)),
    ("crc-8/dvb-s2", Parameters::Bits8(&crc::CRC_8_DVB_S2)),
    ("crc-8/gsm-a", Parameters::Bits8(&crc::CRC_8_GSM_A)),
    ("crc-8/gsm-b", Parameters::Bits8(&crc::CRC_8_GSM_B)),
    ("crc-8/hitag", Parameters::Bits8(&crc::CRC_8_HITAG)),
    ("crc-8/i-432-1", Parameters::Bits8(&crc::CRC_8_I_432_1)),
    ("crc-8/i-code", Parameters::Bits8(&crc::CRC_8_I_CODE)),
    ("crc-8/lte", Parameters::Bits8(&crc::CRC_8_LTE)),
    ("crc-8/maxim-dow", Parameters::Bits8(&crc::CRC_8_MAXIM_DOW)),
    ("crc-8/mifare-mad", Parameters::Bits8(&crc::CRC_8_MIFARE_MAD)),
    ("crc-8/nrsc-5", Parameters::Bits8(&crc::CRC_8_NRSC_5)),
    ("crc-8/opensafety", Parameters::Bits8(&crc::CRC_8_OPENSAFETY)),
    ("crc-8/rohc", Parameters::Bits8(&crc::CRC_8_ROHC)),
    ("crc-8/sae-j1850", Parameters::Bits8(&crc::CRC_8_SAE_J1850)),
    ("crc-8/smbus", Parameters::Bits8(&crc::CRC_8_SMBUS)),
    ("crc-8/tech-3250", Parameters::Bits8(&crc::CRC_8_TECH_3250)),
    ("crc-8/wcdma", Parameters::Bits8(&crc::CRC_8_WCDMA)),
    ("crc-10/atm", Parameters::Bits16(&crc::CRC_10_ATM)),
    ("crc-10/cdma2000", Parameters::Bits16(&crc::CRC_10_CDMA2000)),
    ("crc-10/gsm", Parameters::Bits16(&crc::CRC_10_GSM)),
    ("crc-11/flexray", Parameters::Bits16(&crc::CRC_11_FLEXRAY)),
    ("crc-11/umts", Parameters::Bits16(&crc::CRC_11_UMTS)),
    ("crc-12/cdma2000", Parameters::Bits16(&crc::CRC_12_CDMA2000)),
    ("crc-12/dect", Parameters::Bits16(&crc::CRC_12_DECT)),
    ("crc-12/gsm", Parameters::Bits16(&crc::CRC_12_GSM)),
    ("crc-12/umts", Parameters::Bits16(&crc::CRC_12_UMTS)),
    ("crc-13/bbc", Parameters::Bits16(&crc::CRC_13_BBC)),
    ("crc-14/darc", Parameters::Bits16(&crc::CRC_14_DARC)),
    ("crc-14/gsm", Parameters::Bits16(&crc::CRC_14_GSM)),
    ("crc-15/can", Parameters::Bits16(&crc::CRC_15_CAN)),
    ("crc-15/mpt1327", Parameters::Bits16(&crc::CRC_15_MPT1327)),
    ("crc-16/arc", Parameters::Bits16(&crc::CRC_16_ARC)),
    ("crc-16/cdma2000", Parameters::Bits16(&crc::CRC_16_CDMA2000)),
    ("crc-16/cms", Parameters::Bits16(&crc::CRC_16_CMS)),
    ("crc-16/dds-110", Parameters::Bits16(&crc::CRC_16_DDS_110)),
    ("crc-16/dect-r", Parameters::Bits16(&crc::CRC_16_DECT_R)),
    ("crc-16/dect-x", Parameters::Bits16(&crc::CRC_16_DECT_X)),
    ("crc-16/dnp", Parameters::Bits16(&crc::CRC_16_DNP)),
    ("crc-16/en-13757", Parameters::Bits16(&crc::CRC_16_EN_13757)),
    ("crc-16/genibus", Parameters::Bits16(&crc::CRC_16_GENIBUS)),
    ("crc-16/gsm", Parameters::Bits16(&crc::CRC_16_GSM)),
    ("crc-16/ibm-3740", Parameters::Bits16(&crc::CRC_16_IBM_3740)),
    ("crc-16/ibm-sdlc", Parameters::Bits16(&crc::CRC_16_IBM_SDLC)),
    ("crc-16/iso-iec-14443-3-a", Parameters::Bits16(&crc::CRC_16_ISO_IEC_14443_3_A)),
    ("crc-16/kermit", Parameters::Bits16(&crc::CRC_16_KERMIT)),
    ("crc-16/lj1200", Parameters::Bits16(&crc::CRC_16_LJ1200)),
    ("crc-16/m17", Parameters::Bits16(&crc::CRC_16_M17)),
    ("crc-16/maxim-dow", Parameters::Bits16(&crc::CRC_16_MAXIM_DOW)),
    ("crc-16/mcrf4xx", Parameters::Bits16(&crc::CRC_16_MCRF4XX)),
    ("crc-16/modbus", Parameters::Bits16(&crc::CRC_16_MODBUS)),
    ("crc-16/nrsc-5", Parameters::Bits16(&crc::CRC_16_NRSC_5)),
    ("crc-16/opensafety-a", Parameters::Bits16(&crc::CRC_16_OPENSAFETY_A)),
    ("crc-16/opensafety-b", Parameters::Bits16(&crc::CRC_16_OPENSAFETY_B)),
    ("crc-16/profibus", Parameters::Bits16(&crc::CRC_16_PROFIBUS)),
    ("crc-16/riello", Parameters::Bits16(&crc::CRC_16_RIELLO)),
    ("crc-16/spi-fujitsu", Parameters::Bits16(&crc::CRC_16_SPI_FUJITSU)),
    ("crc-16/t10-dif", Parameters::Bits16(&crc::CRC_16_T10_DIF)),
    ("crc-16/teledisk", Parameters::Bits16(&crc::CRC_16_TELEDISK)),
    ("crc-16/tms37157", Parameters::Bits16(&crc::CRC_16_TMS37157)),
    ("crc-16/umts", Parameters::Bits16(&crc::CRC_16_UMTS)),
    ("crc-16/usb", Parameters::Bits16(&crc::CRC_16_USB)),
    ("crc-16/xmodem", Parameters::Bits16(&crc::CRC_16_XMODEM)),
    ("crc-17/can-fd", Parameters::Bits32(&crc::CRC_17_CAN_FD)),
    ("crc-21/can-fd", Parameters::Bits32(&crc::CRC_21_CAN_FD)),
    ("crc-24/ble", Parameters::Bits32(&crc::CRC_24_BLE)),
    ("crc-24/flexray-a", Parameters::Bits32(&crc::CRC_24_FLEXRAY_A)),
    ("crc-24/flexray-b", Parameters::Bits32(&crc::CRC_24_FLEXRAY_B)),
    ("crc-24/interlaken", Parameters::Bits32(&crc::CRC_24_INTERLAKEN)),
    ("crc-24/lte-a", Parameters::Bits32(&crc::CRC_24_LTE_A)),
    ("crc-24/lte-b", Parameters::Bits32(&crc::CRC_24_LTE_B)),
    ("crc-24/openpgp", Parameters::Bits32(&crc::CRC_24_OPENPGP)),
    ("crc-24/os-9", Parameters::Bits32(&crc::CRC_24_OS_9)),
    ("crc-30/cdma", Parameters::Bits32(&crc::CRC_30_CDMA)),
    ("crc-31/philips", Parameters::Bits32(&crc::CRC_31_PHILIPS)),
    ("crc-32/aixm", Parameters::Bits32(&crc::CRC_32_AIXM)),
    ("crc-32/autosar", Parameters::Bits32(&crc::CRC_32_AUTOSAR)),
    ("crc-32/base91-d", Parameters::Bits32(&crc::CRC_32_BASE91_D)),
    ("crc-32/bzip2", Parameters::Bits32(&crc::CRC_32_BZIP2)),
    ("crc-32/cd-rom-edc", Parameters::Bits32(&crc::CRC_32_CD_ROM_EDC)),
    ("crc-32/cksum", Parameters::Bits32(&crc::CRC_32_CKSUM)),
    ("crc-32/iscsi", Parameters::Bits32(&crc::CRC_32_ISCSI)),
    ("crc-32/iso-hdlc", Parameters::Bits32(&crc::CRC_32_ISO_HDLC)),
    ("crc-32/jamcrc", Parameters::Bits32(&crc::CRC_32_JAMCRC)),
    ("crc-32/mef", Parameters::Bits32(&crc::CRC_32_MEF)),
    ("crc-32/mpeg-2", Parameters::Bits32(&crc::CRC_32_MPEG_2)),
    ("crc-32/xfer", Parameters::Bits32(&crc::CRC_32_XFER)),
    ("crc-40/gsm", Parameters::Bits64(&crc::CRC_40_GSM)),
    ("crc-64/ecma-182", Parameters::Bits64(&crc::CRC_64_ECMA_182)),
    ("crc-64/go-iso", Parameters::Bits64(&crc::CRC_64_GO_ISO)),
    ("crc-64/ms", Parameters::Bits64(&crc::CRC_64_MS)),
    ("crc-64/nvme", Parameters::Bits64(&crc::CRC_64_NVME)),
    ("crc-64/redis", Parameters::Bits64(&crc::CRC_64_REDIS)),
    ("crc-64/we", Parameters::Bits64(&crc::CRC_64_WE)),
    ("crc-64/xz", Parameters::Bits64(&crc::CRC_64_XZ)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_leads_to_an_algorithm_and_no_name_is_taken_twice() {
        let mut known: Vec<String> = names().iter().map(|name| plain(name)).collect();
        for name in names() {
            assert!(find(name).is_some(), "{name}");
        }
        known.sort();
        known.dedup();
        assert_eq!(known.len(), names().len());
    }
}
