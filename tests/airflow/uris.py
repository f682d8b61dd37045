"""A hypothesis strategy of URIs: right ones, wrong ones, and what people write by mistake."""

from __future__ import annotations

from hypothesis import strategies as st

_URI_PARTS = (
    "http",
    "Http",
    "aws",
    "google-cloud",
    "a_b",
    "://",
    "//",
    "/",
    ":",
    "@",
    "?",
    "#",
    "&",
    "=",
    "%",
    "%41",
    "%2F",
    "%E9",
    "%C3%A9",
    "%00",
    "user",
    "Pass",
    "host",
    "Host.Example",
    "[::1]",
    "5432",
    "0",
    "99999",
    "+",
    " ",
    "é",
    "n=1",
    "b=true",
    "__extra__=",
    "%7B%22a%22%3A1%7D",
    "endpoint=http://x",
    "\n",
    "K",
)
pieces = st.sampled_from(_URI_PARTS)
uris = st.one_of(
    st.builds("".join, st.lists(pieces, max_size=14)),
    st.builds(
        lambda scheme, rest: f"{scheme}://{''.join(rest)}", st.sampled_from(["http", "aws", "a-b"]), st.lists(pieces)
    ),
    st.builds(
        lambda scheme, login, host, port, schema, query: f"{scheme}://{login}{host}{port}{schema}{query}",
        st.sampled_from(
            [
                "http",
                "postgresql",
                "google-cloud-platform",
                "Http",
                "http://https",
                "http://http",
                "Http://https",
                "s://https",
            ]
        ),
        st.sampled_from(
            ["", "u:p@", "@", ":p@", "u@", "u:@", "u:a:b@", "u:a@b@", "u:%40%2f@", "u:p/w@", "u:1?x@", "%zz:%E9@"]
        ),
        st.sampled_from(
            ["", "h", "Host.COM", "%48ost", "a%2FB", "H%2FB", "[::1]", "[FE80::1%25E]", "é", "a,b", "a%00"]
        ),
        st.sampled_from(["", ":", ":1", ":0", ":65535", ":65536", ":x", ":1:2", ":٣"]),
        st.sampled_from(["", "/", "/s", "/S%20a", "/a/b", "//a", "/a@b", "/%E9", "/é"]),
        st.sampled_from(
            [
                "",
                "?",
                "?a=b",
                "?a=1&b=true",
                "?a=",
                "?a",
                "?=b",
                "?a=b&a=c",
                "?a=%E9",
                "?e=x@y",
                "?u=http://x",
                "?__extra__=",
                "?__extra__=%7B%22a%22%3A%7B%7D%7D",
                "?__extra__=%7B%7D&a=b",
                "?__extra__=[]",
                "#f",
                "?a=x+y%20z&b=%7B%22c%22:1%7D",
            ]
        ),
    ),
)
