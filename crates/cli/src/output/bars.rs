//! Small bars in tables.

const PARTS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// A bar of `width` characters that is `share` (0 to 1) full, in eighths of a character; padded with blanks.
pub fn bar(share: f64, width: usize) -> String {
    draw(share, width, ' ')
}

/// As [`bar`], with dots where it is empty, so that its end shows.
pub fn bar_with_end(share: f64, width: usize) -> String {
    draw(share, width, '·')
}

fn draw(share: f64, width: usize, empty: char) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 to 8 × width"
    )]
    let mut eighths = (share * (width * 8) as f64).round() as usize;
    // Something is not nothing.
    if share > 0.0 {
        eighths = eighths.max(1);
    }
    let mut text: String = std::iter::repeat_n(PARTS[7], eighths / 8).collect();
    if !eighths.is_multiple_of(8) {
        text.push(PARTS[eighths % 8 - 1]);
    }
    let used = eighths.div_ceil(8);
    text.extend(std::iter::repeat_n(empty, width.saturating_sub(used)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_their_width_and_show_the_smallest_share() {
        assert_eq!(bar(0.0, 4), "    ");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(0.5, 4), "██  ");
        assert_eq!(bar_with_end(0.001, 4), "▏···");
        assert_eq!(bar(f64::NAN, 2), "  ");
        assert_eq!(bar(7.0, 2), "██");
        for share in 0..=100 {
            assert_eq!(bar(f64::from(share) / 100.0, 7).chars().count(), 7);
        }
    }
}
