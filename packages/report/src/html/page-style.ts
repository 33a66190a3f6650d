/** Light and dark by the reader's setting; two columns of code on wide screens, one on narrow ones and on paper. */
export const pageStyle = `
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--text:#1b2330;--quiet:#5c6777;--line:#dfe3ea;--accent:#3b5bdb;--hover:#eef1f7;
--plus:#13713c;--plus-back:#e9f8ef;--plus-word:#b5e8c8;--minus:#b3261e;--minus-back:#fdeeed;--minus-word:#f9c9c5;--warn:#8a5a00;--warn-back:#fff6e0;
--gutter:#8a94a3;--filler:#f1f3f6;--odd:#8627b8;--odd-back:#f5e6fd;--good-back:#dff5e7;--radius:10px;
--mono:ui-monospace,SFMono-Regular,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
@media (prefers-color-scheme:dark){:root{--page:#0e1218;--card:#151b23;--text:#dde4ee;--quiet:#93a0b2;--line:#29323e;--accent:#8ea6ff;--hover:#1d2530;
--plus:#5fd38d;--plus-back:#11291d;--plus-word:#1f5b39;--minus:#ff8a80;--minus-back:#2f181a;--minus-word:#74292b;--warn:#f0c060;--warn-back:#2b2312;
--gutter:#6d7a8c;--filler:#11161d;--odd:#d9a3f5;--odd-back:#37204a;--good-back:#12331f}}
*{box-sizing:border-box}
html{scroll-padding-top:12px;-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:28px 28px 64px;max-width:1720px;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
[hidden]{display:none!important}
h1,h2,p,ul,ol,dl,dd,figure{margin:0;padding:0}
ul,ol{list-style:none}
h1{font-size:26px;line-height:1.25;letter-spacing:-.01em;overflow-wrap:anywhere;display:flex;flex-wrap:wrap;align-items:center;gap:6px 12px}
h2{font-size:15px;line-height:1.4;font-weight:650}
code,pre,.path,.name,.directory{font-family:var(--mono);font-size:12.5px}
code,.path,.name,.directory{overflow-wrap:anywhere}
.quiet{color:var(--quiet);font-weight:400}
a{color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:-999px}
.skip:focus{left:12px;top:12px;padding:6px 12px;background:var(--card);z-index:5}
.eyebrow{color:var(--quiet);font-size:12.5px;overflow-wrap:anywhere}
.badge{font:600 12px/1.7 system-ui,sans-serif;letter-spacing:.02em;padding:0 10px;border-radius:99px;background:var(--hover);color:var(--quiet);white-space:nowrap}
.badge.completed{background:var(--good-back);color:var(--plus)}
.badge.failed{background:var(--minus-back);color:var(--minus)}
.badge.aborted{background:var(--warn-back);color:var(--warn)}
.run{display:flex;flex-wrap:wrap;gap:6px 28px;margin-top:14px;font-size:13.5px}
.run div{display:flex;gap:8px;min-width:0;align-items:baseline}
.run dt{color:var(--quiet);flex:none}
.run dd{min-width:0}
.tiles{display:flex;flex-wrap:wrap;gap:10px;margin-top:18px}
.tiles li{background:var(--card);border:1px solid var(--line);border-radius:var(--radius);padding:10px 18px 11px;color:var(--quiet);font-size:13px;min-width:128px}
.tiles b{display:block;color:var(--text);font-size:22px;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.tiles .plus b,.plus{color:var(--plus)}
.tiles .minus b,.minus{color:var(--minus)}
.tiles .undone b{font-size:17px;line-height:1.65}
.alert{margin-top:16px;padding:12px 16px;border-radius:var(--radius);border:1px solid var(--line);border-left:4px solid var(--quiet);background:var(--card)}
.alert.error{border-left-color:var(--minus)}
.alert.warning{border-left-color:var(--warn)}
.alert pre{margin:6px 0 0;white-space:pre-wrap;overflow-wrap:anywhere;max-height:320px;overflow:auto}
.alert ul{margin-top:4px;font-size:13.5px;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:14px;margin-top:20px;align-items:start}
.card,.record{background:var(--card);border:1px solid var(--line);border-radius:var(--radius);padding:16px 18px;min-width:0;font-size:13.5px}
.card h2{display:flex;justify-content:space-between;gap:12px;align-items:center;margin-bottom:8px}
.card details,.card details+p{margin-top:8px}
.card summary,.record summary,.tree summary{cursor:pointer}
.count{color:var(--quiet);font-variant-numeric:tabular-nums;background:var(--hover);border-radius:99px;padding:0 8px;font-size:12px}
.paths{margin:6px 0 0;max-height:260px;overflow:auto}
.paths li{padding:1px 0}
.reasons{display:flex;flex-wrap:wrap;gap:4px 14px}
.coverage{margin-top:8px}
.coverage p{display:flex;gap:8px}
.timeline{position:relative}
.timeline li{position:relative;display:grid;grid-template-columns:74px minmax(0,1fr);gap:24px;padding:2px 0}
.timeline li::before{content:"";position:absolute;left:82px;top:9px;width:8px;height:8px;border-radius:50%;background:var(--gutter);z-index:1}
.timeline li:not(:last-child)::after{content:"";position:absolute;left:85.5px;top:14px;bottom:-10px;width:1px;background:var(--line)}
.timeline li.good::before{background:var(--plus)}
.timeline li.bad::before{background:var(--minus)}
.timeline time{color:var(--quiet);text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.timeline span{overflow-wrap:anywhere}
.layout{display:grid;grid-template-columns:minmax(220px,290px) minmax(0,1fr);gap:20px;margin-top:22px;align-items:start}
main{min-width:0}
.layout>main{margin:0}
main#changes:not(.layout main){margin-top:22px}
.empty{padding:28px;text-align:center;color:var(--quiet);background:var(--card);border:1px dashed var(--line);border-radius:var(--radius)}
.tree{position:sticky;top:12px;max-height:calc(100vh - 24px);overflow:auto;background:var(--card);border:1px solid var(--line);border-radius:var(--radius);padding:12px}
.tree summary h2{display:inline}
.tree ul ul{padding-left:12px;border-left:1px solid var(--line);margin-left:7px}
.tree .directory{display:block;color:var(--quiet);padding:2px 6px}
.tree a{display:flex;gap:8px;align-items:baseline;padding:2px 6px;border-radius:6px;color:inherit;text-decoration:none}
.tree a:hover{background:var(--hover)}
.tree .name{flex:1;min-width:0}
.filter{width:100%;margin:10px 0 8px;padding:6px 10px;font:inherit;font-size:13px;color:inherit;background:var(--page);border:1px solid var(--line);border-radius:7px}
.letter{font:700 11px/18px var(--mono);flex:none;width:18px;height:18px;text-align:center;border-radius:5px;background:var(--hover);color:var(--quiet)}
.letter.added{background:var(--plus-back);color:var(--plus)}
.letter.deleted{background:var(--minus-back);color:var(--minus)}
.letter.modified,.letter.type-changed,.letter.mode-changed{background:var(--warn-back);color:var(--warn)}
.counts{font:600 12px/1.5 var(--mono);white-space:nowrap;flex:none}
.counts span+span{margin-left:6px}
.toolbar{display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin-bottom:12px}
.toolbar h2{margin-right:auto}
button{font:inherit;font-size:13px;padding:4px 12px;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:7px;cursor:pointer}
button:hover{background:var(--hover)}
kbd{font:12px var(--mono);border:1px solid var(--line);border-radius:4px;padding:0 5px;background:var(--card)}
.keys{font-size:12.5px}
.note{padding:10px 14px;color:var(--quiet);font-size:13.5px;overflow-wrap:anywhere}
main>.note{background:var(--card);border:1px solid var(--line);border-radius:var(--radius);margin-bottom:12px}
.file{background:var(--card);border:1px solid var(--line);border-radius:var(--radius);margin-bottom:12px;overflow:clip}
.file>summary,.file>.summary{display:flex;gap:10px;align-items:center;padding:10px 14px;min-height:42px}
.file>summary{cursor:pointer;list-style:none}
.file>summary::-webkit-details-marker{display:none}
.file>summary::before{content:"";flex:none;width:7px;height:7px;border:solid var(--quiet);border-width:0 1.5px 1.5px 0;transform:rotate(-45deg)}
.file[open]>summary::before{transform:rotate(45deg)}
.file[open]>summary{border-bottom:1px solid var(--line)}
.file>.summary{padding-left:31px}
.file>summary:hover{background:var(--hover)}
.file>summary:focus-visible{outline-offset:-3px;border-radius:var(--radius)}
.path{flex:1;min-width:0;font-weight:600;font-size:13px}
.facts{display:flex;flex-wrap:wrap;justify-content:flex-end;gap:2px 12px;align-items:center;font-size:12.5px}
.fact{color:var(--quiet)}
.balance{display:inline-flex;gap:2px}
.balance i{width:8px;height:8px;border-radius:2px;background:var(--line)}
.balance .plus{background:var(--plus)}
.balance .minus{background:var(--minus)}
.hunk-title{padding:4px 14px;color:var(--quiet);background:var(--hover);font:12px/1.6 var(--mono);overflow-wrap:anywhere}
.hunk-title span{margin-left:1ch;white-space:pre-wrap}
.rows{padding:2px 0}
.block{display:grid;grid-template-columns:minmax(0,1fr)}
.paired .block{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}
.line{display:flex;min-width:0;text-decoration:none;overflow:clip}
.line::before{content:attr(data-n);flex:none;width:52px;padding-right:10px;text-align:right;color:var(--gutter);font:11.5px/20px var(--mono);user-select:none}
.line code{flex:1;min-width:0;line-height:20px;white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4;padding-right:10px;position:relative;padding-left:16px;unicode-bidi:isolate}
.line code::before{position:absolute;left:2px;user-select:none}
del.line{background:var(--minus-back)}
ins.line{background:var(--plus-back)}
del.line code::before{content:"−";color:var(--minus)}
ins.line code::before{content:"+";color:var(--plus)}
.line mark{color:inherit;border-radius:3px}
del mark{background:var(--minus-word)}
ins mark{background:var(--plus-word)}
.paired .new,.paired .filler:nth-child(even){border-left:1px solid var(--line)}
.filler{background:var(--filler)}
.aside{color:var(--quiet);font-style:italic;user-select:none}
.hidden-character{color:var(--odd);background:var(--odd-back);border-radius:3px;padding:0 2px;font-weight:600}
[data-select=old] .new,[data-select=new] .old{user-select:none}
.images{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(240px,100%),1fr));gap:14px;padding:14px}
.images figcaption{font-size:13px;margin-bottom:6px}
.images img{display:block;max-width:100%;max-height:480px;border:1px solid var(--line);border-radius:6px;background:repeating-conic-gradient(#d9dde3 0 25%,#fff 0 50%) 0 0/16px 16px}
.record{margin-top:14px}
.record h2{display:inline}
.record button{float:right;margin-top:8px}
.record pre{margin:12px 0 0;white-space:pre-wrap;overflow-wrap:anywhere;max-height:70vh;overflow:auto}
@media (max-width:1000px){
body{padding:18px 14px 48px}
.layout{grid-template-columns:minmax(0,1fr)}
.tree{position:static;max-height:none}
.paired .block{grid-template-columns:minmax(0,1fr)}
.paired .filler,.paired div.old{display:none}
.paired .new{border-left:0;order:1}
.line::before{width:40px;padding-right:8px}
}
@media (max-width:600px){
h1{font-size:21px}
.tiles{display:grid;grid-template-columns:repeat(2,minmax(0,1fr))}
.tiles li{min-width:0}
.run{flex-direction:column}
.file>summary,.file>.summary{flex-wrap:wrap;gap:4px 8px;padding:10px 12px}
.path{flex-basis:60%}
.facts{width:100%;justify-content:flex-start;padding-left:30px}
.file>.summary .facts{padding-left:26px}
.keys{display:none}
.line::before{width:34px;padding-right:6px}
}
@media print{
:root{--page:#fff}
body{padding:0;max-width:none;font-size:12px}
.tree,.toolbar,.skip,.record button{display:none}
.layout{display:block}
.file,.card{break-inside:auto}
.line,.tiles li{break-inside:avoid}
.paths,.alert pre,.record pre{max-height:none}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
`
