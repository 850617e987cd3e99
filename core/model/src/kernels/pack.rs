//! Puts values in the order in which products read them, as words of their precision.

use super::micro::Word;

/// Two numbers rounded to bfloat16, to nearest even; NaN stays NaN.
#[inline(always)]
pub(super) fn pair(low: f32, high: f32) -> u32 {
    let round = |value: f32| {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        if value.is_nan() {
            (bits >> 16) | 0x40
        } else {
            rounded
        }
    };
    round(low) | round(high) << 16
}

/// Word `step` of a row of values: of bytes, `inverse` is what makes a value a whole number, and they are 128 more.
#[inline(always)]
fn word(values: &[f32], word: Word, step: usize, inverse: f32) -> u32 {
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    match word {
        Word::F32 => at(step).to_bits(),
        #[cfg(target_arch = "x86_64")]
        Word::Bf16 => pair(at(2 * step), at(2 * step + 1)),
        Word::Int8 => {
            let whole = |part: usize| {
                let value = at(4 * step + part) * inverse;
                (value.round_ties_even() as i32 + 128) as u8
            };
            u32::from_le_bytes([0, 1, 2, 3].map(whole))
        }
    }
}

/// A tile of `rows.len()` rows, step after step: `out[step * rows + row]`.
pub(super) fn tile(rows: &[&[f32]], kind: Word, inverses: &[f32], steps: usize, out: &mut [u32]) {
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if super::Level::best() == super::Level::Avx512 && rows.len() <= 16 {
        let per_word = super::panels::values(kind);
        let shortest = rows.iter().map(|row| row.len()).min().unwrap_or(0);
        done = (shortest / per_word).min(steps) / 16 * 16;
        assert!(out.len() >= rows.len() * steps && inverses.len() >= rows.len());
        // SAFETY: the processor has AVX-512 (and bfloat16's instructions, or there is no such word); every row has the values
        // of `done` words; `out` has room for all steps.
        unsafe { wide::tile(rows, kind, inverses, done, out) }
    }
    for step in done..steps {
        for (place, row) in rows.iter().enumerate() {
            out[step * rows.len() + place] = word(row, kind, step, inverses[place]);
        }
    }
}

/// One step of two rows of values side by side, as words of two: of bfloat16.
pub(super) fn pairs(low: &[f32], high: &[f32], out: &mut [u32]) {
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if super::has_bf16() {
        done = out.len().min(low.len()).min(high.len()) / 16 * 16;
        // SAFETY: the processor has the instructions; all three have so many values.
        unsafe { wide::pairs(low, high, &mut out[..done]) }
    }
    for ((to, low), high) in out[done..].iter_mut().zip(&low[done..]).zip(&high[done..]) {
        *to = pair(*low, *high);
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use core::arch::x86_64::*;

    use crate::kernels::micro::Word;

    /// Sixteen rows of sixteen words, turned.
    #[target_feature(enable = "avx512f")]
    fn transpose(r: [__m512i; 16]) -> [__m512i; 16] {
        let mut t = r;
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        let mut s = t;
        for i in 0..4 {
            s[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
            s[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
            s[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
            s[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
        }
        let mut out = s;
        for j in 0..4 {
            let x0 = _mm512_shuffle_i32x4::<0x88>(s[j], s[4 + j]);
            let x1 = _mm512_shuffle_i32x4::<0xdd>(s[j], s[4 + j]);
            let y0 = _mm512_shuffle_i32x4::<0x88>(s[8 + j], s[12 + j]);
            let y1 = _mm512_shuffle_i32x4::<0xdd>(s[8 + j], s[12 + j]);
            out[j] = _mm512_shuffle_i32x4::<0x88>(x0, y0);
            out[4 + j] = _mm512_shuffle_i32x4::<0x88>(x1, y1);
            out[8 + j] = _mm512_shuffle_i32x4::<0xdd>(x0, y0);
            out[12 + j] = _mm512_shuffle_i32x4::<0xdd>(x1, y1);
        }
        out
    }

    /// The 32 numbers from `low` and `high` as bfloat16, those of `low` first.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn bf16(low: __m512, high: __m512) -> __m512i {
        // SAFETY: both are 512 bits, and any bits are valid.
        unsafe { core::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
    }

    /// Sixteen words from `from` on.
    ///
    /// # Safety
    /// There are as many values; of bfloat16 only where the processor has it.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn words(from: *const f32, kind: Word, inverse: f32) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe {
            match kind {
                Word::F32 => _mm512_castps_si512(_mm512_loadu_ps(from)),
                Word::Bf16 => bf16(_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16))),
                Word::Int8 => {
                    let inverse = _mm512_set1_ps(inverse);
                    let bytes = |place: usize| {
                        let value = _mm512_mul_ps(_mm512_loadu_ps(from.add(16 * place)), inverse);
                        let whole =
                            _mm512_add_epi32(_mm512_cvtps_epi32(value), _mm512_set1_epi32(128));
                        _mm512_cvtepi32_epi8(whole)
                    };
                    let all = _mm512_castsi128_si512(bytes(0));
                    let all = _mm512_inserti32x4::<1>(all, bytes(1));
                    let all = _mm512_inserti32x4::<2>(all, bytes(2));
                    _mm512_inserti32x4::<3>(all, bytes(3))
                }
            }
        }
    }

    /// # Safety
    /// Every row has the values of `steps` words, a multiple of 16; there are at most 16 rows; `out` has room for all words of
    /// the tile; of bfloat16 only where the processor has it.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) unsafe fn tile(
        rows: &[&[f32]],
        kind: Word,
        inverses: &[f32],
        steps: usize,
        out: &mut [u32],
    ) {
        let per_word = crate::kernels::panels::values(kind);
        let (n, room) = (rows.len(), out.len());
        let mask = ((1u32 << n) - 1) as u16;
        for step in (0..steps).step_by(16) {
            let mut block = [_mm512_setzero_si512(); 16];
            for (to, (row, inverse)) in block.iter_mut().zip(rows.iter().zip(inverses)) {
                // SAFETY: the row has the values of `steps` words.
                *to = unsafe { words(row.as_ptr().add(step * per_word), kind, *inverse) };
            }
            for (column, words) in transpose(block).into_iter().enumerate() {
                let place = (step + column) * n;
                // SAFETY: `place + n` is within `out`; sixteen words are only written where there is room for them, and those
                // beyond the n are written again by the next column.
                unsafe {
                    let to: *mut i32 = out.as_mut_ptr().add(place).cast();
                    if place + 16 <= room {
                        _mm512_storeu_si512(to.cast(), words);
                    } else {
                        _mm512_mask_storeu_epi32(to, mask, words);
                    }
                }
            }
        }
    }

    /// # Safety
    /// All three have at least `out.len()` values, a multiple of 16; the processor has bfloat16.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn pairs(low: &[f32], high: &[f32], out: &mut [u32]) {
        #[rustfmt::skip]
        let order: [u16; 32] = [
            0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
            8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31,
        ];
        // SAFETY: the caller's promise, and `order` is 64 bytes.
        unsafe {
            let order = _mm512_loadu_si512(order.as_ptr().cast());
            for place in (0..out.len()).step_by(16) {
                let both = bf16(
                    _mm512_loadu_ps(low.as_ptr().add(place)),
                    _mm512_loadu_ps(high.as_ptr().add(place)),
                );
                let words = _mm512_permutexvar_epi16(order, both);
                _mm512_storeu_si512(out.as_mut_ptr().add(place).cast(), words);
            }
        }
    }
}
