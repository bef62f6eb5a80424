r"""True equations of many kinds are never called wrong, and plain false ones always are.

The kinds are those of worked solutions of MATH (arXiv 2103.03874), GSM8K (arXiv 2110.14168) and
AQuA (arXiv 1705.04146); the sentences are ours.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from analysis.equations.checks import check
from analysis.equations.expressions import Number, Operation, bounds
from analysis.equations.extraction import find_equations
from analysis.equations.lexer import lex
from analysis.equations.other_readings import other_values
from analysis.equations.parser import Parser

TRUE: dict[str, list[str]] = {
    "mixed numbers": [
        r"We get \[\frac{11}{4} = 2 \frac{3}{4}\] cups.",
        r"$\frac{7}{2} = 3\frac{1}{2}$",
        r"$3\frac{1}{2} + 1\frac{1}{2} = 5$",
        r"$2\tfrac14 \times 2 = 4\tfrac12$",
        "4 1/2 + 1/2 = 5",
        "4 / 3 = 1 and 1/3",
        "12 x 1 and 1/4 = 15",
        "100 / 6 = 16 (2/3)",
        "5 / 2 = two and a half",
        "2⅔ + ⅓ = 3",
        "10/4 = 2½",
    ],
    "unknowns": [
        r"By Pythagoras \(13^2 = 5^2 + x^2\), so x = 12.",
        r"Cross-multiplying, \(3 \times 10 = 2 \times w\), so w = 15.",
        r"Subtracting 9 gives \(5 - 9 = 2x + 9 - 9\), so x = -2.",
        "$2x + 3 = 11$",
        "$11 = 2x + 3$",
        "$2(3 + x) = 14$",
        "$x^2 - 5x + 6 = 0$",
        "$(x-2)(x-3) = 0$",
        "x² - 5x + 6 = 0",
        r"$e&=2$, for $2(2e+9)&=17e-8$",
        "y - 5 = 2(x - 3)",
        "4 W^2 = 100",
        r"$\frac{5}{6}=\frac{60+m}{84}$",
        r"$\frac{3}{4} = \frac{x}{120}$",
        "8/3 = 24/Y",
        "1/4 = 5/x",
        "720 / R = 60 / 100",
        "1/3 of Solomon = 66/3 = 22",
        "2/3 of x = 18",
        "n + (n+1) + (n+2) = 3n + 3 = 33",
        r"3 = 1 \cdot 1 \cdot 5 \sin \theta",
        "Then $4y_1^2 = 4,$ so $y_1^2 = 1.$",
        "2 AB + 3 = 11",
        "$2ab + 1 = 8a^2 b^2$",
        "x(1.04)^2 = 54080",
        "0.9X(0.02) = 72, so 0.018X = 72",
        r"$1 = \frac{5}{12}+\frac{1}{3}+x$",
        "The equation x2 = 4 has two roots.",
        "H2 + 3 = 5",
    ],
    "names": [
        "Write S_3 = 40 + 41 + 42 for the sum.",
        "$s_1 = 2^2$, $s_2 = 3^2$ and $s_{19} = 20^2$",
        "a_1 + a_2 = 5 + 7 = 12",
        r"$f_{1993}(3) = \frac{1}{5}$",
        "Then $A_1(1) = 1, A_2(1) = 1$.",
        r"$f'(2) = 2 \cdot 2 = 4$",
        "f(2) + f(3) = 5 + 7 = 12",
        "price(5) = 5 * 3 = 15",
        "Equation 3 = 5 + 7",
        "Step 2 = 3 * 4 = 12",
        "Step 2: 3 * 4 = 12",
        "Weeks 3-4 = 96 - 70 = 26",
        "Day 3:100+20=120",
        "Week 1:600/2=300",
        "On day 1 * 2 = 20 pages were read on day 2.",
    ],
    "constants and functions": [
        r"$2 \cdot 13\pi = 26\pi$",
        r"$4\pi - 1 = 0$",
        r"$\frac{24\pi}{36\pi} = \frac{2}{3}$",
        r"Here $\frac{4}{3}\pi r^3=36\pi$.",
        r"$\cos 4\pi + i \sin 4\pi - 1 = 0$",
        r"$\sin 30^\circ + 1 = 1.5$",
        r"$2 \sin \alpha \cos \alpha = \frac{1}{2}$",
        r"$\log_2 8 = 3$",
        r"$\log_{2} 8 + 1 = 4$",
        r"\log_{1 / 3} 1+5=0+5=5",
        "log 100 = 2",
        r"\ln 1 + 5 = 5",
        r"$\gcd(12, 18) + 1 = 7$",
        r"$\sqrt{16} + 5 = 9$",
        r"$2\sqrt{9} = 6$",
        "√16 + 5 = 9",
        "the square root of 9 + 16 is 5",
        "the cube root of 3 * 9 = 3",
        "the average of 5 + 7 + 9 = 7",
        "The units digit of 7 * 3 = 1",
        "The sum of the digits of 5 * 7 is 8.",
    ],
    "factorials and counts": [
        "5! = 120",
        "5! / 3! = 20",
        r"$5 \cdot 4! = 120$",
        r"$7 \cdot 6 \cdot 5 \cdot 4 \cdot 3 \cdot 2 \cdot 1 = 7!$ ways",
        r"13 !(15 \cdot 14-1)=13 ! \cdot 209",
        r"$\binom{5}{2} \cdot 3 = 30$",
        "6P2 x 100 = 3000",
        "5C2 + 1 = 11",
        "5 choose 2 = 10",
    ],
    "remainders and bases": [
        r"17 = 2 \pmod 5",
        r"$7 \cdot 8 = 56 \equiv 1 \pmod{5}$",
        r"$3 \cdot 5 = 1 \pmod{7}$",
        "3 * 5 = 1 mod 7",
        "Modulo 7 we have 3 * 5 = 1.",
        "3 * 5 = 15 ≡ 1 (mod 7)",
        r"$1492 = 1500-8 \equiv -8 \pmod{500}$",
        "$50^{-1} = 24$ in the integers modulo 109",
        "17 % 5 = 2",
        "14 / 4 = 3 remainder 2",
        "17 / 5 = 3 R2",
        r"$12 \div 5 = 2 \text{ R } 2$",
        "100 stickers / 3 friends = 33 stickers for each friend, with 1 remaining.",
        "101_2 = 5",
        "$101_2 + 11_2 = 1000_2$",
        r"$12_4 \div 2_4 = 6_{10} \div 2_{10} = 3_{10}$",
        "In base 7 we have 44 + 55 = 132.",
    ],
    "percent, degrees, money": [
        "25/75 x 100% = 33.3%",
        "3 / 21 * 100% = 14.28...%",
        "3 / 21 * 100% = 14.28",
        "10% + 15% = 25%",
        "$50 - 30% = $35",
        "120 * 75% = 90%",
        r"$\frac{3}{5} \times 100\% = 60\%$",
        r"$90^\circ - 35^\circ = 55^\circ$",
        "180° - 90° - 45° = 45°",
        "72°F - 32°F = 40°F",
        "20 * 45 = $9, at 45 cents each",
        r"$\$3.20 / \$0.32 = 10$",
        r"$22,\!000 / 4 = 5500$",
        r"1{,}000 \cdot 3 = 3{,}000",
        "600 x 30 = 18 000 watts",
        "14, 400 / 80 = 180 pages",
        "32 / 2 = $16 million",
    ],
    "units": [
        r"m^2 = 2.6 \times 10^{11} \, \text{eV}^2 \implies m = 0.51 \, \text{MeV}",
        r"$3 \times 4 \text{ cm}^2 = 12 \text{ cm}^2$",
        r"$\dfrac{54\text{ ft}^2}{9} = \boxed{6}\text{ ft}^2$",
        r"The area is $6 \, \text{m} \times 4 \, \text{m} = 24 \, \text{m}^2$.",
        "4 m x 4 m = 16 m^2",
        "60 km/h * 2 h = 120 km",
        "3 ft = 36 in",
        "1 hour = 60 minutes",
        "$5 = 500 cents",
        "1/2 cup = 4 ounces",
        "1 kg = 450/90 = Rs 5",
        "500 units = 180 + (500*3) = Rs.1680",
        "3 * 20 minutes = 1 hour",
        "3 nickels + 2 dimes = 35 cents",
        "2 dozen + 6 = 30",
        "5 hours 30 minutes + 2 hours = 7.5 hours",
        "2 hours and 30 minutes + 1 hour = 3.5 hours",
        r"$\frac{7 \text{ knicks}}{2 \text{ knacks}} = 1$",
        r"$3 \text{ hr} \times 50 \frac{\text{mi}}{\text{hr}} = 150 \text{ mi}$",
        r"4.0 \times 10^{-19} \text{ J} = 2.5 \text{ eV}",
        r"9.8 \text{ m/s}^2 \cdot 2 \text{ s} = 19.6 \text{ m/s}",
        "12:30 + 2:15 = 14:45",
        "9 am + 4 hours = 1 pm",
        "5 pm - 6 pm is one hour",
        "0900 - 0130 = 0730",
    ],
    "sums over many terms": [
        "1 + 2 + … + 10 = 55",
        "1 + 2 + 3 + ... + 10 = 55",
        r"$1 + 2 + \ldots + 10 = 55$",
        r"$1 + 2 + \cdots + 100 = \frac{100 \cdot 101}{2} = 5050$",
        r"$3^{11} = 122 + 123 + \ldots + 607$",
        r"$\sum_{i=1}^{3} i = 1 + 2 + 3 = 6$",
        r"$\sum_{i=1}^{10} (2i + 1) = 120$",
        "n(n+1)/2 = 10 * 11 / 2 = 55",
        r"\begin{align*} 10 &= 1 + 2 + 3 \\ &\quad + 4 \end{align*}",
        r"\begin{align*} 5 + 7 &= 12 \\ -12 &= 3 \cdot (-4) \end{align*}",
        "7 \\cdot 6 \\cdot\n5 = 210",
        "1 - \\frac{1}{2} -\n\\frac{1}{5} = \\frac{3}{10}",
    ],
    "decimals": [
        r"$0.\overline{3} = \frac{1}{3}$",
        r"$\frac{1}{3} + \frac{1}{3} = 0.\overline{6}$",
        r"40 / 3=13 . \overline{3}",
        "1/3 = 0.333...",
        "1/6 = 0.1666…",
        ".4 + .3 + . 84 = 1.54",
        "22 / 7 ≈ 3.14",
        r"$\frac{200}{3} \approx 66.6$",
        "500 / 3 ≈ 167",
        "2/3 * 100 =~65%",
        "2000 * 1.05^5 = 2553, to the nearest dollar",
        "0.67 feet * 12 inches/foot = 8 inches",
        "$29.4 / 7 = 4.199999999999999$",
        r"1.22 \times \frac{5 \times 10^{-5}}{20} = 3.05 \times 10^{-6}",
        r"10^35^0 \cdot 2 = 2000",
        "$900=2^{2} 3^{2} 5^{2}$",
    ],
    "brackets": [
        "|3 - 5| = 2",
        "$|-3| + |2 - 7| = 8$",
        r"$\lfloor 7/2 \rfloor = 3$",
        r"$\left\lceil \frac{27}{4} \right\rceil = 7$",
        "⌊7/2⌋ + 1 = 4",
        r"$\left[\frac{3 \times 2004 - 4}{10}\right] = 600$",
        "The interval [2 + 1, 8) = [3, 8)",
        "(3, 4) + (1, 2) = (4, 6)",
        r"$\begin{pmatrix} 2 \\ 1 \end{pmatrix} = \frac{8}{5} \begin{pmatrix} 1 \end{pmatrix}$",
        r"$\begin{vmatrix} 1 & 2 \\ 3 & 4 \end{vmatrix} = 4 - 6 = -2$",
        r"$\mathbf{v} = 2 \mathbf{a} + 3 \mathbf{b}$",
        r"$\frac{1}{2}(\text{base})(\text{height}) = \frac{1}{2}(7)(5) = 17.5$",
        "$20.00 * 0.20 (20%) = $4.00",
        "half a day (1/2) = 12 hours",
        "There are 7 adults + Shonda (1) + 2 of her kids + 10 friends = 20",
        ".1(Number of Minutes) + 1 = .15(Number of Minutes)",
    ],
    "other relations": [
        "5 + 7 is not 13",
        "5 + 7 ≠ 13",
        r"$5 + 7 \neq 13$",
        "5 + 7 != 13",
        "$3 < 5 = 2 + 3$",
        r"x \le \frac{200}{4} = 50",
        "3 : 4 = 6 : 8",
        "3:4 = 0.75",
        "10 ± 2 = 12",
        r"$5 \pm 3 = 8$",
        r"3 \star 2 = 13",
        "$3@2 = 13$",
        "We define $a*b = a^b + b^a$, so $2 * 6 = 2^6 + 6^2 = 64 + 36 = 100$.",
        "If $a = 2$ or $a = 3$ then $a^2 = 2^2$.",
        r"$u = -1$ or $u = -\frac{2}{5}$",
    ],
    "loose writing": [
        "3 * 4 = 12 + 1 = 13",
        "2 * 3 + 4 = 6 + 4 = 10",
        r"$24 = 2^3 \cdot 3$",
        r"$3^7+6^6 = 3^6\cdot3+3^6\cdot 2^6 = 3^6 \cdot 67$",
        "25 / 1/3 = 75",
        "6 km / 1/30 hour = 180 km/h",
        "3/ 1/4 = 12",
        "7/12 / 1/12/day = 7 days",
        "42×12+20×10 / 12+10 = 32",
        "4 less than 12 * 2 = 24",
        "60 more than 160 * 5 = 800",
        "x = 12 = 5 + 7",
        "The dog eats 3 * 4 = 12 boxes, 5 + 7 = 12 12 - 2 = 10",
        r"$m = - 2 \cdot 1^2 + 5 = 3$",
        "The difference between 5 and 12 is 7",
    ],
    "prose": [
        "50% of 8 is 1.5 * 8 = 12",
        "75% of one pan is 16 pieces",
        "She used half of one makeup set, which is 3 colors.",
        "10% of the $400 + $1580 = $1980",
        "The largest multiple of 81 less than 556 is 486.",
        "There are 12+3+1 = 16 odd integers less than 2010.",
        "The 3 * 4 rectangle is 5 tall.",
        r"a 2 \times 2 red square is \frac{417}{512}",
        r"The smallest integer above $\frac{5}{4}$ is 2.",
        "the integer between 21/5 and 49/9 is 5",
        "5 * 4 is 2 more than 18",
        "It is less than or equal to 7 * 2 is true.",
        "There are 3 boxes of 5 + 2 = 17",
        "$25 per year for 4 years plus 10 = 110",
        "Multiplying out $(1+3+9)(1+5)$ yields 6 terms.",
        "Adding 1/99 to 0.5 = 1/2 gives more.",
        "The last square is $50^{2},$ giving a total of $19$.",
        "add all 4 books together, 21+20 = 41",
        "During the second half 4 * 85 = 340",
        r"$2 \cdot 7$ is $2^3 \cdot 7 = 56$",
        r"Cut it into $4\times4$ squares by making two cuts.",
        "2 5-dollar bills + 1 = $11",
        "a 3-by-4 grid = 12 cells",
        "the cost of adding one soda and one bar is 150 cents",
    ],
}
"""What these texts state is true, or nothing that can be checked."""
RIGHT = [
    r"We get \[\frac{11}{4} = 2 \frac{3}{4}\] cups.",
    r"$\frac{7}{2} = 3\frac{1}{2}$",
    r"$3\frac{1}{2} + 1\frac{1}{2} = 5$",
    r"$2\tfrac14 \times 2 = 4\tfrac12$",
    "4 1/2 + 1/2 = 5",
    "4 / 3 = 1 and 1/3",
    "100 / 6 = 16 (2/3)",
    "5 / 2 = two and a half",
    "2⅔ + ⅓ = 3",
    "10/4 = 2½",
    "1/3 of Solomon = 66/3 = 22",
    "price(5) = 5 * 3 = 15",
    "Step 2 = 3 * 4 = 12",
    "Step 2: 3 * 4 = 12",
    "Weeks 3-4 = 96 - 70 = 26",
    "Day 3:100+20=120",
    "Week 1:600/2=300",
    r"\log_{1 / 3} 1+5=0+5=5",
    r"$7 \cdot 8 = 56 \equiv 1 \pmod{5}$",
    "3 * 5 = 15 ≡ 1 (mod 7)",
    r"$1492 = 1500-8 \equiv -8 \pmod{500}$",
    "$101_2 + 11_2 = 1000_2$",
    r"$12_4 \div 2_4 = 6_{10} \div 2_{10} = 3_{10}$",
    "25/75 x 100% = 33.3%",
    "3 / 21 * 100% = 14.28...%",
    "10% + 15% = 25%",
    "120 * 75% = 90%",
    r"$\frac{3}{5} \times 100\% = 60\%$",
    r"$90^\circ - 35^\circ = 55^\circ$",
    "180° - 90° - 45° = 45°",
    "72°F - 32°F = 40°F",
    r"$\$3.20 / \$0.32 = 10$",
    r"$22,\!000 / 4 = 5500$",
    r"1{,}000 \cdot 3 = 3{,}000",
    "32 / 2 = $16 million",
    r"$3 \times 4 \text{ cm}^2 = 12 \text{ cm}^2$",
    r"$\dfrac{54\text{ ft}^2}{9} = \boxed{6}\text{ ft}^2$",
    r"The area is $6 \, \text{m} \times 4 \, \text{m} = 24 \, \text{m}^2$.",
    "4 m x 4 m = 16 m^2",
    "60 km/h * 2 h = 120 km",
    "1 kg = 450/90 = Rs 5",
    "500 units = 180 + (500*3) = Rs.1680",
    r"9.8 \text{ m/s}^2 \cdot 2 \text{ s} = 19.6 \text{ m/s}",
    r"$1 + 2 + \cdots + 100 = \frac{100 \cdot 101}{2} = 5050$",
    r"$\sum_{i=1}^{3} i = 1 + 2 + 3 = 6$",
    r"\begin{align*} 10 &= 1 + 2 + 3 \\ &\quad + 4 \end{align*}",
    r"\begin{align*} 5 + 7 &= 12 \\ -12 &= 3 \cdot (-4) \end{align*}",
    "7 \\cdot 6 \\cdot\n5 = 210",
    "1 - \\frac{1}{2} -\n\\frac{1}{5} = \\frac{3}{10}",
    r"$0.\overline{3} = \frac{1}{3}$",
    r"$\frac{1}{3} + \frac{1}{3} = 0.\overline{6}$",
    "1/3 = 0.333...",
    "1/6 = 0.1666…",
    "22 / 7 ≈ 3.14",
    r"$\frac{200}{3} \approx 66.6$",
    "500 / 3 ≈ 167",
    "2000 * 1.05^5 = 2553, to the nearest dollar",
    "$29.4 / 7 = 4.199999999999999$",
    r"1.22 \times \frac{5 \times 10^{-5}}{20} = 3.05 \times 10^{-6}",
    r"$\begin{vmatrix} 1 & 2 \\ 3 & 4 \end{vmatrix} = 4 - 6 = -2$",
    "$20.00 * 0.20 (20%) = $4.00",
    "$3 < 5 = 2 + 3$",
    r"x \le \frac{200}{4} = 50",
    "3 * 4 = 12 + 1 = 13",
    "2 * 3 + 4 = 6 + 4 = 10",
    r"$24 = 2^3 \cdot 3$",
    r"$3^7+6^6 = 3^6\cdot3+3^6\cdot 2^6 = 3^6 \cdot 67$",
    "x = 12 = 5 + 7",
    "The dog eats 3 * 4 = 12 boxes, 5 + 7 = 12 12 - 2 = 10",
    r"$m = - 2 \cdot 1^2 + 5 = 3$",
    "The difference between 5 and 12 is 7",
    "50% of 8 is 1.5 * 8 = 12",
    "There are 12+3+1 = 16 odd integers less than 2010.",
    "5 * 4 is 2 more than 18",
    "add all 4 books together, 21+20 = 41",
    "During the second half 4 * 85 = 340",
    r"$2 \cdot 7$ is $2^3 \cdot 7 = 56$",
]
"""Those of them whose equations are all seen to be right."""
FALSE = [
    "5 + 7 = 13",
    "3 * 3 = 3",
    "13 / 3 = 3",
    r"\frac{1}{2} \times 8 = 5",
    "<<5+7=13>>",
    "12 apples + 3 apples = 16 apples",
    "So 5 + 7 = 13.",
    "$5 + 7 = 13$",
    r"\(5 \times 7 = 36\)",
    r"\[5 \times 7 = 36.\]",
    r"$$12 \div 4 = 4$$",
    r"\boxed{5 + 7 = 13}",
    r"5 + 7 = \boxed{13}",
    "5 + 7 = **13**",
    "**5 + 7 = 13**",
    "- 5 + 7 = 13",
    "1. 5 + 7 = 13",
    "59 - 81 = 22",
    "10 / 3 = 3.34",
    "10 / 3 = 3",
    "2/3 = 0.66",
    "5/20 = 24%",
    "20% of 50 = 12",
    "10% of the 50 apples is 6",
    "10 / 3 = 5 (rounded up)",
    "5 + 7 ≈ 13",
    "5 plus 7 is 13",
    "12 minus 5 equals 8",
    "3 times 4 makes 13",
    "20 divided by 4 gives 6",
    "half of 10 is 6",
    "a third of 12 is 5",
    "Twice 5 is 11",
    "5 more than 7 is 13",
    "5 less than 12 is 8",
    "5 subtracted from 12 is 8",
    "the sum of 5, 7 and 2 is 15",
    "the product of 3 and 4 is 13",
    "the difference between 12 and 5 is 8",
    "Subtract 5 from 12 to get 8",
    "Add 5 and 7 to get 13",
    "multiply 3 by 4 to get 13",
    "divide 12 by 4 to get 4",
    "five plus seven is thirteen",
    "one hundred and five plus five is 111",
    "5 squared is 26",
    "2^10 = 1000",
    "2**3 = 9",
    "$5^2 + 1 = 27$",
    "5² = 26",
    "(5 + 7) * 2 = 25",
    "2(3 + 4) = 15",
    "[3 + 4] × 2 = 15",
    "12 x 5 = 61",
    "2x3 = 7",
    "12 − 5 = 8",
    "-5 + 7 = 3",
    "$5 × 3 = $16",
    "$4.20 + $9.45 + $1.35 = $14.99",
    "1,000 + 2,500 = 3,600",
    "2 1/2 + 1 = 4",
    r"$2\frac{1}{2} + 1 = 4$",
    "1½ + 1 = 3",
    "6/8 = 2/3",
    r"\frac{3}{4} + \frac{1}{4} = 2",
    "2 million + 3 million = 6 million",
    "3 books/person x 2 people = 7 books",
    "200 hours * $50/hour = $1000",
    "5 (red) + 7 (blue) = 13 (in all)",
    "20g - 4g = 15g.",
    "4 m x 4 m = 15 square meters",
    "13 = 5 + 7",
    "12 = 5 + 8",
    "total = 5 + 7 = 13",
    "x = 5 + 7 = 13",
    "3 + 4 = 14 / 3",
    "3 * 4 = 13 + 1 = 14",
    "5 + 7 = 12, 12 + 3 = 16",
    "She has 5 pens and buys 7, so 5 + 7 = 13 pens.",
    "He ran 5 miles a day for 7 days, which is 5 * 7 = 36 miles.",
    "5 + 7 =\n13",
    "5 + 7\n= 13",
    r"5 \text{ apples} + 7 \text{ apples} = 13",
    r"3 \text{ boxes} \times 4 \text{ pens} = 13 \text{ pens}",
    r"90^\circ - 35^\circ = 54^\circ",
    "101_2 + 1 = 7",
    "15 - 7 = 9 (since 7 + 8 = 15)",
    "on day 1 (5 + 7 = 13)",
    "He has 7 - 2 = 6 left.",
    "12 * 2 = 25 12 * 3 = 36",
    r"$3 \cdot 4 = 13 \implies x = 13$",
    r"3 \cdot 4 = 13 > 12",
    "5 + 7 = 13, which is odd",
    "10 - 4 = 5 (left: 5 6 6)",
    "100 * 12 = 120",
    "7 * 8 = 54 minutes",
    "Let x be 5 + 7 = 13",
    "0.5 * 10 = 6",
    "3.14 * 2 = 6.38",
    "1.25 * 3 = 4",
    '"answer": "5 + 7 = 13"',
    "| 5 + 7 = 13 |",
]
"""Each states one false equation, maybe with true ones."""


@pytest.mark.parametrize("text", [text for texts in TRUE.values() for text in texts])
def test_nothing_true_is_wrong(text: str) -> None:
    assert [each.text for each in find_equations(text) if check(each) == "wrong"] == []


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_read_is_right(text: str) -> None:
    verdicts = [check(each) for each in find_equations(text)]
    assert verdicts == ["right"] * len(verdicts) != []


@pytest.mark.parametrize("text", FALSE)
def test_what_is_false_is_wrong(text: str) -> None:
    assert "wrong" in [check(each) for each in find_equations(text)]


@pytest.mark.parametrize("around", ["{}", "So {}.", "${}$", r"\({}\)", r"\[{}\]", "**{}**", "- {}"])
@pytest.mark.parametrize(
    ("text", "verdict"), [("5 + 7 = 12", "right"), ("5 + 7 = 13", "wrong"), ("17 - 9 = 8", "right")]
)
def test_what_stands_around_makes_no_difference(around: str, text: str, verdict: str) -> None:
    assert [check(each) for each in find_equations(around.format(text))] == [verdict]


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("11/4 = 2 3/4", "11/4"),
        ("5 / 2 = 2 and a half", "5/2"),
        ("32 / 2 = $16 million", "16"),
        ("5 * 4 * 3 * 2 = 5! ways", None),
        ("7 * 4 = 28, 28 - 1 = 27", "28"),
        ("x + 5 = 3 * 4 = 12", "12"),
        ("101_2 + 1_2 = 110_2", "6"),
        (r"3.0 \times 10^{8} / 2 = 1.5 \times 10^{8}", "150000000"),
        ("3 * 4 = 12 (left: 12 3)", "12"),
    ],
)
def test_the_result_that_is_meant(text: str, stated: str | None) -> None:
    assert next((str(each.stated) for each in find_equations(text)), None) == stated


@pytest.mark.parametrize(
    ("text", "begin", "whole"),
    [
        ("5^2 + 3 = 28", 0, True),
        ("5^2 + 3!, 4", 0, False),
        (r"2\sqrt{9} = 6", 0, False),
        ("12 apples = 5", 0, True),
        ("12 3 = 5", 0, False),
        ("12 - = 5", 0, False),
        ("16,0000 = 5", 0, False),
        (r"3 \pmod{5} = 3", 0, False),
        ("f(2 + 3, 4) = 5", 2, True),
    ],
)
def test_a_side_is_read_whole_or_not_at_all(text: str, begin: int, whole: bool) -> None:
    side = Parser(lex(text)).side(begin)
    assert (side.expression is not None) is whole


@pytest.mark.parametrize(
    ("text", "begins"),
    [("5", True), ("is 5", True), ("(5", True), ("x_2 5", False), (r"\sin 5", False)]
    + [("x + 5", False), ("2(5", False), ("= 5", True), ("16,0000", False), ("<= 5", True)],
)
def test_where_a_side_may_begin(text: str, begins: bool) -> None:
    tokens = lex(text)
    assert Parser(tokens).begins_cleanly(len(tokens) - 2) is begins


@pytest.mark.parametrize(
    ("text", "value"),
    [("25 / 1/3", "75"), ("42 + 20 / 12 + 19", "2"), ("3 less than 4 * 5", "20")]
    + [(r"3\frac{1}{2}", "3/2"), ("6 / 2 * 10^3", "3/1000")],
)
def test_other_readings(text: str, value: str) -> None:
    tokens = lex(text)
    found = [str(each) for each in other_values(tokens, 0, len(tokens) - 1)]
    assert value in found


def test_a_plain_expression_has_no_other_reading() -> None:
    tokens = lex("5 + 7 * 2")
    assert list(other_values(tokens, 0, len(tokens) - 1)) == []


def test_bounds_of_numbers_that_look_rounded() -> None:
    third = Number(value=Fraction(33, 100), places=2)
    three = Number(value=Fraction(3), places=0)
    product = Operation(name="mul", left=third, right=three)
    assert bounds(product) == (Fraction(975, 1000), Fraction(1005, 1000))
    price = Operation(name="mul", left=Number(value=Fraction(5, 4), places=2), right=three)
    assert bounds(price) == (Fraction(15, 4), Fraction(15, 4))  # 1.25 is no rounded fraction
    zero = Operation(name="sub", left=three, right=three)
    assert bounds(Operation(name="div", left=three, right=zero)) is None
    assert bounds(Number(value=None)) is None
