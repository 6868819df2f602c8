//! The image that stands for every outcome where a page can take nothing else.

/// One transparent pixel, GIF89a, 43 bytes: the smallest that every browser and mail program shows.
pub const GIF: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\
    \x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_gif_of_43_bytes() {
        assert_eq!((GIF.len(), &GIF[..6], GIF[42]), (43, &b"GIF89a"[..], b';'));
    }
}
