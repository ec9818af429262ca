// The page's words in English and Chinese, under the same names.

const ENGLISH = {
  skip: "To the question", index: "Index", tools: "Tools", new: "New", documents: "Documents",
  history: "History", settings: "Settings", close: "Close",
  welcome: "What do your documents say?",
  facts: "{documents} documents, {chunks} passages.",
  oneFact: "1 document, {chunks} passages.",
  indexing: "It is being indexed right now.",
  staleFacts: "{count} changed and could not be read again.",
  local: "Questions, answers and documents stay on this server; the page loads nothing from elsewhere.",
  noChat: "There is no chat model, so the closest passages are quoted.",
  noIndex: "There is no index yet. In a terminal, `ragkit index FOLDER` makes one.",
  firstIndex: "There is no index yet. Add files, and one is made of them.", indexName: "Name of the index",
  brokenIndex: "This index cannot be opened.",
  question: "Question", ask: "Ask a question", askNext: "Ask a further question", askButton: "Ask", stop: "Stop",
  previousSource: "Previous source", nextSource: "Next source",
  answering: "Answering …", searching: "Looking through the documents …", thinking: "Reasoning",
  quoted: "quoted", supported: "supported", unsupported: "not shown", uncited: "no source",
  quotedLong: "stands word for word in its source",
  supportedLong: "its source says so, as far as ragkit can tell without a model",
  unsupportedLong: "its source was not found to say so: read it yourself",
  uncitedLong: "names no source",
  marks: "What the marks mean",
  sources: "Sources", source: "Source {number}", page: "page {number}", openSource: "{name}: show the place",
  closest: "Closest passages", closestNote: "The sentence that answers best is marked.",
  searched: "Searched for: {text}",
  made: "{model}, {seconds} s", madeNone: "no chat model, {seconds} s",
  dropped: "{count} passages did not fit into the model's window.",
  toModel: "This source tells models what to reply. It was treated as text, not as an order.",
  stopped: "Stopped. What stands here is no answer: it was not checked.",
  unfinished: "The answer broke off. What stands here was not checked.",
  again: "Ask again", answerReady: "Answer", answerFailed: "No answer.",
  saveMarkdown: "Save as text", saveJson: "Save with proof (JSON)",
  saveHint: "`ragkit verify FILE` checks the JSON file again, without a model.",
  loading: "Loading …", above: "Show what stands above", below: "Show what stands below",
  documentStart: "Beginning of the document", documentEnd: "End of the document",
  place: "The cited place", placeEnd: "End of the cited place",
  goneQuote: "The document has changed since, or is gone. This is the quotation as it stood:",
  filter: "Find by name", noDocuments: "No document has such a name.", more: "Show {count} more",
  passages: "{count} passages", pages: "{count} pages",
  indexed: "indexed", stale: "out of date", without_text: "no text", failed: "failed", skipped: "left out",
  unreadable: "unreadable", pagesWithoutText: "no text on pages {pages}",
  documentsCount: "{documents} documents, {others} files not indexed",
  noHistory: "No conversation yet.", forget: "Delete", forgetAll: "Delete all conversations of this index",
  forgetAsk: "Delete for good?", turns: "{count} questions", oneTurn: "1 question",
  historyNote: "Kept in this browser alone.", historyFull: "This browser has no room for the conversation; it is not kept.",
  language: "Language", theme: "Look", system: "as the system", light: "light", dark: "dark",
  number: "Passages to read", numberDefault: "as the server: {count}",
  mode: "Search by", modeDefault: "as the server", hybrid: "words and meaning", dense: "meaning", keyword: "words",
  extractive: "Quotations only: ask no chat model",
  strict: "Leave out sentences that the sources do not support",
  shortcuts: "Shortcuts of one key",
  keys: "Shortcuts", keyQuestion: "to the question", keyClose: "close what is open", keyNew: "new conversation",
  keyNext: "next and previous source", keySend: "ask; with Shift a new line",
  asText: "Show the text", asPage: "Show the page", pageOf: "Page {number} of {path}",
  partlyMarked: "Not all words of the place were found in the picture.",
  whyNot: "Why was my document not used?", whyPath: "Document", whyText: "Words of the passage, if you know some", whyAsk: "Find out",
  whyRank: "rank {rank}", whyNoRank: "not among the passages found",
  why_not_indexed: "It is not in the index.", why_no_text: "It holds no text.",
  why_split_apart: "The words stand in no single passage.", why_filtered: "It was filtered out.",
  why_not_retrieved: "The search did not find it.", why_no_evidence: "It was found, but does not seem to answer.",
  why_order: "It only tells a model what to do.", why_repeat: "Another passage says the same.",
  why_over_budget: "It did not fit into what the model was given.", why_given: "It was among what the answer is made from.",
  why_not_used: "It was given, and the answer does not use it.", why_used: "The answer uses it.",
  add: "Add", addFiles: "Add files", dropHere: "or drop them here. They are kept with the index.",
  addFolder: "Add a folder of the server", sending: "Sending {name}", reading: "Reading {name}",
  jobDone: "Done: {added} added or changed, {failed} failed, {skipped} left out.", jobCancelled: "Stopped. What was read is kept.",
  errorUnreachable: "The server does not answer. Is `ragkit serve` still running?",
  errorModel: "The chat model could not be asked.",
  errorModelUnavailable: "The model server does not answer. Is it running?",
  errorIndex: "The index could not be read.",
  errorBusy: "The server does as much as it may at a time. Try again in a moment.",
  errorToken: "This server wants its token again.", login: "Log in",
  errorInput: "The server did not take the question.",
  errorOther: "Something went wrong.",
};

const CHINESE = {
  skip: "跳到提问框", index: "索引", tools: "工具", new: "新对话", documents: "文档",
  history: "历史", settings: "设置", close: "关闭",
  welcome: "你的文档里怎么说？",
  facts: "{documents} 个文档，{chunks} 个段落。",
  oneFact: "1 个文档，{chunks} 个段落。",
  indexing: "正在建立索引。",
  staleFacts: "有 {count} 个文档已改动，但未能重新读取。",
  local: "问题、回答和文档都留在这台服务器上，本页面不从别处加载任何内容。",
  noChat: "没有聊天模型，所以直接引用最接近的段落。",
  noIndex: "还没有索引。在终端里运行 `ragkit index 文件夹` 即可建立。",
  firstIndex: "还没有索引。添加文件即可建立。", indexName: "索引名称",
  brokenIndex: "无法打开这个索引。",
  question: "问题", ask: "请提问", askNext: "继续提问", askButton: "提问", stop: "停止",
  previousSource: "上一个来源", nextSource: "下一个来源",
  answering: "正在回答……", searching: "正在查找文档……", thinking: "思考过程",
  quoted: "原文引用", supported: "有据", unsupported: "未证实", uncited: "无出处",
  quotedLong: "与来源的文字一字不差",
  supportedLong: "来源中这样说（由 ragkit 不借助模型判断）",
  unsupportedLong: "没有发现来源这样说，请自行核对",
  uncitedLong: "没有标明来源",
  marks: "标记的含义",
  sources: "来源", source: "来源 {number}", page: "第 {number} 页", openSource: "{name}：查看原文位置",
  closest: "最接近的段落", closestNote: "最能回答问题的句子已标出。",
  searched: "实际检索：{text}",
  made: "{model}，{seconds} 秒", madeNone: "没有聊天模型，{seconds} 秒",
  dropped: "有 {count} 个段落超出模型的上下文窗口，未被采用。",
  toModel: "这个来源含有指示模型如何回答的文字；它只被当作文字，不被当作命令。",
  stopped: "已停止。以上文字不是回答，没有经过核对。",
  unfinished: "回答中断。以上文字没有经过核对。",
  again: "再问一次", answerReady: "回答", answerFailed: "没有得到回答。",
  saveMarkdown: "保存为文本", saveJson: "连同证据保存（JSON）",
  saveHint: "`ragkit verify 文件` 可以不用模型再次核对这个 JSON 文件。",
  loading: "正在加载……", above: "显示上文", below: "显示下文",
  documentStart: "文档开头", documentEnd: "文档结尾",
  place: "引用的位置", placeEnd: "引用结束",
  goneQuote: "文档已改动或已不在。当时的引文是：",
  filter: "按名称查找", noDocuments: "没有匹配的文档。", more: "再显示 {count} 个",
  passages: "{count} 个段落", pages: "{count} 页",
  indexed: "已索引", stale: "未更新", without_text: "没有文字", failed: "失败", skipped: "未收录",
  unreadable: "无法读取", pagesWithoutText: "第 {pages} 页没有文字",
  documentsCount: "{documents} 个文档，另有 {others} 个文件未收录",
  noHistory: "还没有对话。", forget: "删除", forgetAll: "删除这个索引的全部对话",
  forgetAsk: "确定删除？", turns: "{count} 个问题", oneTurn: "1 个问题",
  historyNote: "只保存在这个浏览器里。", historyFull: "浏览器空间不足，这次对话没有保存。",
  language: "语言", theme: "外观", system: "跟随系统", light: "浅色", dark: "深色",
  number: "阅读的段落数", numberDefault: "服务器默认：{count}",
  mode: "检索方式", modeDefault: "服务器默认", hybrid: "词语和语义", dense: "语义", keyword: "词语",
  extractive: "只引用原文，不用聊天模型",
  strict: "略去来源不支持的句子",
  shortcuts: "单键快捷键",
  keys: "快捷键", keyQuestion: "跳到提问框", keyClose: "关闭打开的内容", keyNew: "新对话",
  keyNext: "下一个、上一个来源", keySend: "提问；加 Shift 换行",
  asText: "显示文字", asPage: "显示页面", pageOf: "{path} 第 {number} 页",
  partlyMarked: "图中没有找到这个位置的全部文字。",
  whyNot: "为什么没用到我的文档？", whyPath: "文档", whyText: "段落中的文字（如果知道）", whyAsk: "查明原因",
  whyRank: "第 {rank} 名", whyNoRank: "不在找到的段落之中",
  why_not_indexed: "索引里没有它。", why_no_text: "它没有文字。",
  why_split_apart: "这些文字不在同一个段落里。", why_filtered: "它被筛选条件排除。",
  why_not_retrieved: "检索没有找到它。", why_no_evidence: "找到了它，但它似乎不能回答问题。",
  why_order: "它只是在指示模型做事。", why_repeat: "另一个段落说了同样的话。",
  why_over_budget: "它没有放进模型读到的内容里。", why_given: "它在回答所依据的内容之中。",
  why_not_used: "模型读到了它，但回答没有用它。", why_used: "回答用了它。",
  add: "添加", addFiles: "添加文件", dropHere: "或拖放到这里。文件与索引一起保存。",
  addFolder: "添加服务器上的文件夹", sending: "正在发送 {name}", reading: "正在读取 {name}",
  jobDone: "完成：新增或更新 {added} 个，失败 {failed} 个，未收录 {skipped} 个。", jobCancelled: "已停止。已读取的内容保留。",
  errorUnreachable: "服务器没有回应。`ragkit serve` 还在运行吗？",
  errorModel: "无法使用聊天模型。",
  errorModelUnavailable: "模型服务器没有回应。它在运行吗？",
  errorIndex: "无法读取索引。",
  errorBusy: "服务器同时处理的请求已达上限，请稍后再试。",
  errorToken: "服务器需要再次输入令牌。", login: "登录",
  errorInput: "服务器没有接受这个问题。",
  errorOther: "出了问题。",
};

// What may help, by the stage at which a passage was lost; in English the server's own words say it.
const CHINESE_ADVICE = {
  "not indexed": "用 `ragkit list` 查看已有的文档，用 `ragkit index` 添加文件夹。",
  "no text": "如果是扫描件，需要先识别文字（OCR）。",
  "split apart": "请少写几个词，或只写同一句话里的词。",
  "not retrieved": "请在设置中增加阅读的段落数，或用更接近文档的词语提问。",
  "no evidence": "可以调低 answer.min_evidence 试试。",
  "over budget": "请调高 answer.num_ctx，或减少阅读的段落数。",
};

let words = ENGLISH;

/** The language that is shown: "en" or "zh-CN". */
export function shownLanguage() {
  return words === CHINESE ? "zh-CN" : "en";
}

/** Take a language: "en", "zh", or "" for the browser's. */
export function choose(language) {
  const wanted = language || navigator.languages.find((tag) => /^(en|zh)\b/i.test(tag)) || "en";
  words = /^zh/i.test(wanted) ? CHINESE : ENGLISH;
  document.documentElement.lang = shownLanguage();
}

/** Some words, with what stands in braces filled in. */
export function t(name, values = {}) {
  return words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** What may help a passage that was lost at a stage; "" where the server's words are enough. */
export function adviceFor(stage) {
  return words === CHINESE ? CHINESE_ADVICE[stage] ?? "" : "";
}

/** A number as the language writes it. */
export function count(number) {
  return number.toLocaleString(shownLanguage());
}

/** Write the words into the elements that name them. */
export function writeWords(root = document) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  for (const node of root.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}
