//! Small numbers and pieces out of the bytes of an input; 0 and nothing behind its end.

/// What is left of an input.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let taken = self.0.len().min(N);
        let (front, rest) = self.0.split_at(taken);
        bytes[..taken].copy_from_slice(front);
        self.0 = rest;
        bytes
    }

    /// A piece behind its own length of two bytes, or what is left.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let wanted = usize::from(u16::from_be_bytes(self.array()));
        let (piece, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        piece
    }
}
