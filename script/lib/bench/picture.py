"""The picture of doc/performance.md: drains against the peers, and under a held snapshot."""

from statistics import median

WIDTH = 760
LEFT, RIGHT = 150, 80           # beside the bars: names, values
BAR, GAP = 16, 4
LINE_LEFT, LINE_RIGHT, LINE_HEIGHT = 60, 130, 200
SLOT_MS = 1000

DRAINS = (("drain_0ms", "provider answers at once, 64 in flight"),
          ("drain_50ms_200", "provider takes 50 ms, 200 in flight"),
          ("drain_50ms_400", "provider takes 50 ms, 400 in flight"))
COLOURS = {"roleferry": "#1f6f54", "graphile-worker": "#b5651d", "pg-boss": "#5a6f9e", "celery": "#8a8a8a"}


class Svg:
    """Elements, and how far down the page they go."""

    def __init__(self):
        self.parts = []
        self.y = 0

    def text(self, x, y, text, anchor="start", size=12, weight="normal", colour="#222222"):
        """With a white edge, so that it can be read where a line passes."""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
                          f' font-weight="{weight}" fill="{colour}" stroke="#ffffff" stroke-width="4"'
                          f' stroke-linejoin="round" paint-order="stroke">{text}</text>')

    def box(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
                          f' fill="{colour}"/>')

    def line(self, points, colour, width=1.0, dashes=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"'
                          f' stroke-width="{width}"{dashed}/>')

    def document(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.y}" width="{WIDTH}"'
                f' height="{self.y}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif">\n'
                f'<rect width="{WIDTH}" height="{self.y}" fill="#ffffff"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def draw(results):
    """The whole picture as text."""
    svg = Svg()
    draw_drains(svg, results["figures"])
    draw_timelines(svg, results["timelines"])
    return svg.document()


def draw_drains(svg, figures):
    rows = [(text, [(who, median(figures[name][who])) for who in COLOURS if who in figures[name]])
            for name, text in DRAINS if name in figures]
    if not rows:
        return
    scale = (WIDTH - LEFT - RIGHT) / max(value for _, bars in rows for _, value in bars)
    svg.y += 28
    svg.text(14, svg.y, "Mails sent a second (longer is better)", size=15, weight="bold")
    for text, bars in rows:
        svg.y += 28
        svg.text(14, svg.y, text, weight="bold")
        svg.y += 8
        for who, value in bars:
            svg.text(LEFT - 8, svg.y + BAR - 4, who, anchor="end")
            svg.box(LEFT, svg.y, max(1, value * scale), BAR, COLOURS[who])
            svg.text(LEFT + value * scale + 6, svg.y + BAR - 4, number(value))
            svg.y += BAR + GAP
    svg.y += 16


def draw_timelines(svg, timelines):
    curves = [(who, smooth(timelines[who])) for who in COLOURS if who in timelines]
    curves = [(who, curve) for who, curve in curves if len(curve) > 1]
    if not curves:
        return
    svg.y += 28
    svg.text(14, svg.y, "Mails sent a second while another session holds a snapshot", size=15, weight="bold")
    svg.y += 18
    svg.text(14, svg.y, "No dead row can be vacuumed: every mail that was sent stays in the way of the next.",
             colour="#555555")
    top = svg.y + 18
    bottom = top + LINE_HEIGHT
    seconds = max(curve[-1][0] for _, curve in curves)
    highest = round_up(max(value for _, curve in curves for _, value in curve))
    place = Plane(seconds, highest, top, bottom)
    draw_axes(svg, place)
    for who, curve in curves:
        svg.line([place.at(*point) for point in curve], COLOURS[who], 2)
    label_curves(svg, place, curves)
    svg.y = bottom + 52


class Plane:
    """Seconds and mails a second to places on the page."""

    def __init__(self, seconds, highest, top, bottom):
        self.seconds = seconds
        self.highest = highest
        self.top = top
        self.bottom = bottom

    def at(self, second, value):
        return (LINE_LEFT + second / self.seconds * (WIDTH - LINE_LEFT - LINE_RIGHT),
                self.bottom - value / self.highest * (self.bottom - self.top))


def draw_axes(svg, place):
    for part in range(5):
        value = place.highest * part / 4
        x, y = place.at(0, value)
        svg.line([(x, y), place.at(place.seconds, value)], "#dddddd")
        svg.text(x - 6, y + 4, number(value), anchor="end", size=11)
    step = tick(place.seconds)
    second = 0
    while second <= place.seconds:
        x, y = place.at(second, 0)
        svg.line([(x, y), (x, y + 4)], "#888888")
        svg.text(x, y + 18, f"{second}", anchor="middle", size=11)
        second += step
    x, y = place.at(place.seconds / 2, 0)
    svg.text(x, y + 36, "seconds", anchor="middle", size=11)


def label_curves(svg, place, curves):
    """Beside the last point of each, apart from one another."""
    labels = sorted((place.at(*curve[-1])[1], place.at(*curve[-1])[0], who) for who, curve in curves)
    last = -100.0
    for y, x, who in labels:
        y = max(y, last + 14)
        svg.text(x + 6, y + 4, who, colour=COLOURS[who], weight="bold")
        last = y


def smooth(timeline):
    """(second, mails a second) for whole seconds; the rest at the end is no second."""
    sums = {}
    for at_ms, count in timeline:
        sums[at_ms // SLOT_MS] = sums.get(at_ms // SLOT_MS, 0) + count
    last = max(sums, default=0)
    return [(slot + 0.5, sums.get(slot, 0)) for slot in range(last)]


def number(value):
    return f"{value:,.0f}".replace(",", "\u202f")


def round_up(value):
    """Few digits and zeros, so that quarters are readable."""
    power = 1
    while power * 10 <= value:
        power *= 10
    return next(factor * power for factor in (1, 1.2, 1.6, 2, 2.4, 2.8, 3.2, 4, 6, 8, 10) if factor * power >= value)


def tick(seconds):
    return next((step for step in (1, 2, 5, 10, 20, 30, 60, 120, 300) if seconds / step <= 10), 600)
