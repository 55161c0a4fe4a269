//! The font for Korean, Chinese and Japanese letters, where this machine has one.

use ab_glyph::{FontArc, FontVec};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Names the font file to use.
const VARIABLE: &str = "MNIST_KIT_CJK_FONT";

/// Folders in which Debian, Arch, Fedora and macOS users have Noto Sans CJK.
const FOLDERS: [&str; 5] = [
    "/usr/share/fonts/opentype/noto",
    "/usr/share/fonts/noto-cjk",
    "/usr/share/fonts/google-noto-cjk",
    "/usr/share/fonts/google-noto-sans-cjk-fonts",
    "/Library/Fonts",
];

static REGULAR: LazyLock<Result<FontArc, String>> = LazyLock::new(|| installed(false));
static BOLD: LazyLock<Result<FontArc, String>> = LazyLock::new(|| installed(true));

/// Returns the font, or what to do so that there is one.
pub(super) fn font(bold: bool) -> Result<&'static FontArc, &'static str> {
    let font = if bold { &BOLD } else { &REGULAR };
    font.as_ref().map_err(String::as_str)
}

/// Returns whether a letter is one that the font is there for.
pub(super) fn is_likely(letter: char) -> bool {
    matches!(letter, '\u{1100}'..='\u{11FF}' | '\u{2E80}'..='\u{D7FF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{323AF}')
}

fn installed(bold: bool) -> Result<FontArc, String> {
    match std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) {
        Some(name) => read(Path::new(&name)).map_err(|reason| {
            format!("correct {VARIABLE}, which names {}: {reason}", Path::new(&name).display())
        }),
        None => find(&folders(), bold),
    }
}

fn folders() -> Vec<PathBuf> {
    let home = std::env::home_dir().map(|home| home.join(".local/share/fonts"));
    FOLDERS.iter().map(PathBuf::from).chain(home).collect()
}

/// Reads the font from the first folder that has it.
fn find(folders: &[PathBuf], bold: bool) -> Result<FontArc, String> {
    let weights: &[&str] = if bold { &["Bold", "Regular"] } else { &["Regular"] };
    for weight in weights {
        let name = format!("NotoSansCJK-{weight}.ttc");
        if let Some(font) = folders.iter().find_map(|folder| read(&folder.join(&name)).ok()) {
            return Ok(font);
        }
    }
    Err(format!(
        "install the font Noto Sans CJK (Debian: `apt-get install fonts-noto-cjk`) or name a font \
         file in {VARIABLE}, and restart the kernel"
    ))
}

/// Reads a font file. Of a collection, the Korean font is taken, the second one in Noto Sans CJK.
fn read(path: &Path) -> Result<FontArc, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let indices: &[u32] = if bytes.starts_with(b"ttcf") { &[1, 0] } else { &[0] };
    indices
        .iter()
        .find_map(|&index| FontVec::try_from_vec_and_index(bytes.clone(), index).ok())
        .map(FontArc::new)
        .ok_or_else(|| "it is not a font file that can be read".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ab_glyph::Font;

    #[test]
    fn a_missing_font_is_an_error_that_names_the_remedy() {
        let empty = tempfile::tempdir().unwrap();
        let message = find(&[empty.path().to_path_buf()], true).unwrap_err();
        assert!(message.contains("fonts-noto-cjk") && message.contains(VARIABLE), "{message}");
    }

    #[test]
    fn a_font_without_a_bold_face_serves_both() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("NotoSansCJK-Regular.ttc"), dejavu::sans::regular())
            .unwrap();
        for bold in [false, true] {
            let font = find(&[folder.path().to_path_buf()], bold).unwrap();
            assert!(font.glyph_id('a').0 != 0 && font.glyph_id('글').0 == 0);
        }
    }

    #[test]
    fn a_file_that_is_no_font_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("font.ttc");
        for bytes in [&b""[..], b"ttcf", b"ttcf\0\x01\0\0\0\0\0\x02\xff\xff\xff\xff", &[0; 999]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(read(&path).unwrap_err().contains("not a font file"));
        }
        assert!(read(folder.path()).is_err());
    }

    #[test]
    fn only_letters_of_these_scripts_ask_for_the_font() {
        assert!("글字かＡ".chars().all(is_likely));
        assert!(!"aé✗→😀".chars().any(is_likely));
    }
}
