# The values of expressions in the Jinja of transformers, or "!" where they are errors: numbers of any size and base, `%` formats, rounding,
# and texts in lists. Writes fixtures/expressions.json. Run from the root of the repository:
#   python tests/tokenizers/make_expression_golden.py
import json
import pathlib

from transformers.utils.chat_template_utils import _compile_jinja_template

VARIABLES = json.loads(r"""{"s": "Hello World, foo bar", "l": [3, 1, 2, 10, 7], "n": 42, "neg": -7, "f": 2.5, "t": true, "fl": [1.5, 2.0, 0.1], "d": {"b": 1, "A": "x", "c": null}, "no": null, "u": "\u00c4rger \u00dftra\u00dfe \u0130\u0131 \ufb01 \ud835\udcb3 \u65e5\u672c", "np": "a\u200bb\u0000c\u0085d\ue000e\udb40\udc01f\u0378g\u3000h\u00a0i\ud7ffj\u2028k'l\u202el\ud83d\ude00", "e": ""}""")
EXPRESSIONS = r"""
2**53
9007199254740993
9007199254740993 + 1
2**64
2**100
10**20
10**22
12345678901234567890
12345678901234567890 // 7
12345678901234567890 % 97
-12345678901234567890 // 7
(2**70) / (2**68)
2**63 - 1
9007199254740992 + 1
9007199254740993 * 3
(2**64)|tojson
(2**64)|string
[2**64]
(2**64) == (2**64) + 1
(2**64) > (2**63)
(2**64)|float
(2**64)|int
"12345678901234567890"|int
(2**64)|abs
(-(2**64))|abs
(2**64) is integer
(2**64) is number
(2**64) is even
(2**64+1) is odd
(2**64) is divisibleby(3)
{2**64: 1}
2**0.5
2**-1
0**0
(-2)**2
-2**2
2**3**2
7 // 2
-7 // 2
7 % -3
-7 % 3
7.5 // 2
7.5 % -2
1/3
1e16
1e15
123456789.123
1e-5
0.0001
1e22
1e300*1e10
-0.0
0.1+0.2
100.0
1.0
3.0e5
1_000
0x10
0xFF
0b101
0o17
0x1_0
0XaB
1_0.5
1e5
1E5
007
08
7 / 7
neg % 5
"%05.2f" % f
"%5d|%-5d|%05d" % (n,n,n)
"%+d" % n
"% d" % n
"%x" % 255
"%X" % 255
"%#x" % 255
"%o" % 8
"%e" % 12345.678
"%E" % 12345.678
"%g" % 0.00001
"%g" % 123456789
"%G" % 1e-10
"%c" % 65
"%c" % "x"
"%r" % "a'b"
"%a" % "ä"
"%10s|" % s
"%-10s|" % "ab"
"%.3s" % s
"%*d" % (5,n)
"%.*f" % (2,f)
"%%" % ()
"%d" % 3.99
"%i" % -3.99
"%s %s" % (1,"a")
"%(a)s" % {"a":1}
"%s" % [1,2]
"%d" % "x"
"%s" % ("a",)
"%f" % n
"%.0f" % 2.5
"%.1f" % 0.25
"%.2f" % 1.005
"%d" % (2**64)
"%.10f" % 0.1
"%f" % 1e25
"%s"|format(n)
"%s-%s"|format(n,f)
"%d%%"|format(50)
"%5.1f|"|format(f)
"%z" % 1
"%" % ()
"%s" % ()
"abc" % ()
"abc" % 1
"%s" % no
"%ld" % 3
"%u" % 5
"%F" % 1.5
"%.3d" % 5
"%+.2f" % f
"%-8.3f|" % f
"%08.3f" % neg
["it's"]
["a\"b'c"]
["\x7f\x1b"]
["\\"]
["\u200b"]
["\u200d"]
["\ue000"]
["\u0378"]
["\U000e0001"]
["\u3000"]
["\u2003"]
["\U0001f600"]
["\ufeff"]
["\u00ad"]
["\u0600"]
["\ud800"]
["tab\there"]
["\u202e"]
["\ufffe"]
["\U0010ffff"]
[1e16]
fl|sum
l|sum
l|sum(start=100)
["a"]|sum
[]|sum
2.5|round
3.5|round
-2.5|round
2.675|round(2)
1.15|round(1)
42.55|round
42.55|round(1,"floor")
42.55|round(1,"ceil")
1234|round(-2)
n|round
0.5|round
1.5|round
2.345|round(2)
1e20|round
5.015|round(2)
0.285|round(2)
1.005|round(2)
n|round(2)
"x"|round
150|round(-2)
250|round(-2)
-1.5|round(0,"floor")
2.5|round(method="ceil")
2.5|round(method="x")
2.5|round|int
1.0e-7|round(7)
"42"|int
" 42 "|int
"4.7"|int
"x"|int
"x"|int(7)
"0x1A"|int(0,16)
"0x1A"|int(base=16)
"1A"|int(0,16)
"101"|int(base=2)
"0b101"|int(base=2)
"1_000"|int
"-7"|int
"1e3"|int
""|int
none|int
[]|int
3.99|int
-3.99|int
true|int
"inf"|int
"nan"|int
"+5"|int
"."|int
"1."|int
"12abc"|int
1e30|int
"1e30"|int
"3.7"|float
"x"|float
"x"|float(1.5)
""|float
"1e5"|float
"inf"|float
"-inf"|float
"nan"|float
"1_0.5"|float
none|float
true|float
n|float
"0x10"|float
" 1.5 "|float
"Infinity"|float
".5"|float
"5."|float
1|replace(1,2)
3*"ab"
1 == 1.0
1 == true
1 < 2 < 3
1 < 3 < 2
1 < "a"
1 and 2
0 and 2
1 or 2
0 or 2
1 if true else 2
1 if false
1 if false else 2
3 is odd
4 is even
-3 is odd
3 is divisibleby 3
3 is divisibleby(2)
2.5 is odd
1 is true
1 is boolean
1 is ne 2
1 is lt 2
1 is le 1
2 is ge 2
1.0 is integer
1 is == 1
1 is greaterthan 0
1 is lessthan 3
1 is equalto 1
1.0|tojson
1e20|tojson
1e16|tojson
0.1|tojson
(1e300*1e10)|tojson
undefined_x|int
undefined_x|float
undefined_x|abs
undefined_x|round
undefined_x|format(1)
undefined_x|sum
undefined_x is odd
["a","b"]|map("upper")|list
["a","b"]|map("replace","a","z")|list
["a","A"]|unique|list
1|abs
-1.5|abs
true|abs
"x"|abs
d|abs
1+"a"
1 + 2 * 3
10 - 2 - 3
2 * 3 % 4
1 ~ 2 + 3
1,2
strftime_now("%Y")|length
1 if n > 3 else 2 if n > 2 else 3
2 ** -1 | abs
1.e5
1..e
10 // 3 * 3 }}{{ 10 % 3 }}{{ -10 // 3
"hello".startswith("l", 2)
"hello".startswith("", 9)
"hello".startswith(("l", "x"), 2)
"hello".endswith("l", 0, -1)
"hello".find("", 9)
"hello".find("", 5)
"hello".find("l", 3)
"hello".find("l", none, 3)
"hello".find("l", -2)
"hello".find("l", "x")
u.find("e", 3, 9)
"hello".rfind("l", 0, 3)
"hello".rfind("", 1, 3)
"hello".index("l", 3)
"hello".index("l", 4)
"hello".count("", 2)
"hello".count("l", -3, -1)
"hello".count("", 9)
"a".partition("")
"a".rpartition("")
u.casefold()
"\u1e9e\u03c2".casefold()
u.title()
"\u00dfa".title()
"\u00dfa".capitalize()
"\u01c6a".title()
""".strip().split("\n")


def value(expression):
    try:
        return _compile_jinja_template("{{ " + expression + " }}").render(messages=[], **VARIABLES)
    except Exception:
        return "!"


golden = {"variables": VARIABLES, "values": {one: value(one) for one in EXPRESSIONS}}
path = pathlib.Path(__file__).parent / "fixtures" / "expressions.json"
path.write_text(json.dumps(golden, indent=0) + "\n")
