//! Owns the binary format of COPY, as far as it is the same for every type: how it begins and ends, and the fields of a row.
//! PostgreSQL's documentation of COPY, "Binary Format".

/// How a binary COPY begins.
pub(crate) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// How it ends.
pub(crate) const TRAILER: &[u8] = &[0xff, 0xff];
/// The length of a field that is NULL.
pub(crate) const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Appends a field with what `write` writes, its length in front.
pub(crate) fn field(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// The fields of a row, each with its length in front.
pub(crate) fn fields(row: &[u8]) -> Vec<&[u8]> {
    let mut rest = row.get(2..).unwrap_or_default();
    let mut fields = Vec::new();
    while let Some((length, _)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (field, after) = rest.split_at((4 + length).min(rest.len()));
        fields.push(field);
        rest = after;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_falls_into_its_fields() {
        let mut row = 3_u16.to_be_bytes().to_vec();
        field(&mut row, |out| out.extend_from_slice(b"ab"));
        row.extend_from_slice(&NULL);
        field(&mut row, |_| {});
        assert_eq!(
            fields(&row),
            [
                &b"\0\0\0\x02ab"[..],
                &b"\xff\xff\xff\xff"[..],
                &b"\0\0\0\0"[..]
            ]
        );
    }
}
