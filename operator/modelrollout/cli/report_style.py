"""The style sheet of the HTML report: one column, system fonts, two colour schemes, and paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5f6b76; --paper: #fff; --line: #dfe3e8; --card: #f6f8fa;
  --candidate: #2563eb; --stable: #6b7280; --worse: #c2410c; --sound: #15803d;
  --good: #15803d; --bad: #b91c1c; --busy: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5b1; --paper: #14171a; --line: #30363d;
  --card: #1c2126; --candidate: #60a5fa; --stable: #9ca3af; --worse: #fb923c; --sound: #4ade80;
  --good: #4ade80; --bad: #f87171; --busy: #93c5fd; } }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --line: #bbb; --card: #fff;
  --candidate: #1d4ed8; --stable: #666; --worse: #c2410c; --sound: #166534;
  --good: #166534; --bad: #991b1b; --busy: #1e40af; } main { max-width: none; padding: 0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 900px; margin: 0 auto; padding: 28px 20px 40px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 12px 0 0; display: inline-block; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 28px 0 8px; }
p { margin: 8px 0; overflow-wrap: anywhere; }
.message { font-size: 16px; max-width: 70ch; }
.badge { display: inline-block; padding: 1px 10px; border-radius: 999px; border: 1px solid currentColor; font-size: 13px;
  font-weight: 600; vertical-align: 3px; white-space: nowrap; }
h2 .badge { font-size: 12px; vertical-align: 1px; margin-left: 6px; }
.badge.good { color: var(--good); } .badge.bad { color: var(--bad); } .badge.busy { color: var(--busy); }
dl { display: flex; flex-wrap: wrap; gap: 10px 28px; margin: 14px 0; break-after: avoid; }
dl div { min-width: 0; } dt { color: var(--soft); font-size: 12px; } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 18px 0; padding: 12px 14px 8px; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  break-inside: avoid; overflow-x: auto; }
figcaption { font-size: 13px; color: var(--soft); margin-bottom: 6px; } figcaption b { color: var(--ink); margin-right: 8px; }
.key::before { content: ""; display: inline-block; width: 16px; height: 0; margin: 0 5px 0 8px; vertical-align: 4px;
  border-top: 2px solid var(--c); }
.key.stable { --c: var(--stable); } .key.candidate { --c: var(--candidate); } .key.worse { --c: var(--worse); }
.key.sound { --c: var(--sound); } .key.limit { --c: var(--bad); }
.key.stable::before, .key.limit::before { border-top-style: dashed; }
svg { display: block; width: 100%; min-width: 520px; height: auto; }
svg polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
svg .candidate { stroke: var(--candidate); } svg .stable { stroke: var(--stable); stroke-dasharray: 5 3; }
svg .worse { stroke: var(--worse); } svg .sound { stroke: var(--sound); }
svg .dot { stroke: none; fill: var(--candidate); } svg .dot.stable { fill: var(--stable); }
svg .dot.worse { fill: var(--worse); } svg .dot.sound { fill: var(--sound); }
svg .area { stroke: none; fill: var(--candidate); opacity: .14; }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .tick { fill: var(--soft); font-size: 11px; }
svg .limit { stroke: var(--bad); stroke-dasharray: 5 3; } svg .needed { stroke: var(--ink); stroke-dasharray: 2 3; }
svg line.mark { stroke: var(--soft); stroke-dasharray: 2 3; } svg circle.mark { fill: var(--ink); }
svg text.mark { fill: var(--paper); font-size: 10px; font-weight: 700; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 12px; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:nth-child(-n+4) { white-space: nowrap; } tr { break-inside: avoid; }
section { break-inside: auto; } h2 { break-after: avoid; }
.note, footer { color: var(--soft); font-size: 13px; } footer { margin-top: 32px; border-top: 1px solid var(--line); }
"""
