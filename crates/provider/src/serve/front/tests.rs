use super::*;

fn front() -> Front {
    let since = Now {
        wall: 1_800_000_000,
        mono: Duration::from_secs(100),
    };
    Front {
        now: Now {
            wall: 1_800_000_300,
            mono: Duration::from_secs(400),
        },
        healthy: false,
        reasons: vec!["metadata_stale"],
        findings: vec![
            Finding::UpsertAllowed,
            Finding::RoundTrip("<i>other</i> bytes"),
        ],
        findings_omitted: 3,
        metadata: ProbeSight {
            passed: Some(Duration::from_secs(90)),
            trouble: Some(Trouble {
                word: "openbao_sealed",
                since,
            }),
            reason: Some("OpenBao is <b>sealed</b>; unseal_it".into()),
        },
        deep: ProbeSight::default(),
        active: Some((3, "abcdefghijklmnop".to_owned())),
        pending: None,
        generation: 7,
        disk: Some(Trouble {
            word: "write_failed",
            since,
        }),
        login: "no_token:<script>alert('x')</script>".to_owned(),
        token: Some(Duration::from_secs(7200)),
        lately: Lately {
            errors: vec![("\"><img src=x>&".to_owned(), 5)],
            encrypt: vec![None, Some(2.0), Some(8.0), None, Some(4.0)],
            decrypt: vec![],
        },
    }
}

#[test]
fn what_is_wrong_and_since_when_is_said_in_words() {
    let page = render(&front());
    for words in [
        ">unhealthy<",
        "metadata_<wbr>stale",
        "creates missing keys on encrypt; set disable_<wbr>upsert=true in its config/keys <span",
        "(data could be read, forged or lost)",
        "is wrong: &lt;i&gt;other&lt;/i&gt; bytes; look for a proxy",
        "<p class=\"bad said\">and 3 more</p>",
        "metadata probe: OpenBao is &lt;b&gt;sealed&lt;/b&gt;; unseal_<wbr>it",
        "openbao_<wbr>sealed for 5 min",
        ">write key, unused<",
        "not yet",
        "version 3 (abcdef\u{2026})",
        ">7<",
        "write_<wbr>failed for 5 min",
        "2 h left",
        "4.0 ms, at most 8.0 ms",
        "no call yet",
        "commit ",
        "as of 2027-01-15T08:05:00Z",
    ] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    assert!(!page.contains("ghijklmnop"), "a hash is cut");
}

#[test]
fn a_healthy_page_writes_and_lists_nothing_that_failed() {
    let mut front = front();
    (front.healthy, front.reasons) = (true, Vec::new());
    front.metadata = ProbeSight::default();
    front.findings.clear();
    front.findings_omitted = 0;
    front.lately.errors.clear();
    let page = render(&front);
    for words in [">healthy<", ">writes<", ">none</p>"] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    for words in ["probe: ", "unused", " said\">"] {
        assert!(!page.contains(words), "{words} is in {page}");
    }
}

#[test]
fn no_text_becomes_markup_and_nothing_is_loaded() {
    let page = render(&front());
    for markup in ["<script", "<img", "src=x>", "http://", "https://", "url("] {
        assert!(!page.contains(markup), "{markup} is in {page}");
    }
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    assert!(page.contains("&quot;&gt;&lt;img src=x&gt;&amp;"));
}

#[test]
fn a_gap_in_the_calls_is_a_gap_in_the_line() {
    let means = [Some(1.0), None, Some(2.0), Some(4.0)];
    let drawn = lines(&means, 4.0);
    let lengths: Vec<usize> = drawn.iter().map(Vec::len).collect();
    assert_eq!(lengths, [2, 1]);
    let (newest_x, newest_y) = drawn[0][0];
    assert!(newest_x > 295.0 && newest_x < WIDE);
    assert!((newest_y - 2.0).abs() < 0.01, "the largest is at the top");
    assert!(lines(&[], 0.0).is_empty());
}
