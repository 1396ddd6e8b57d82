"""Twenty lines: teach a small BERT to tell good reviews from bad, and try it on new sentences."""

from minibert import TextClassifier, data

train, development = data.load("sample")  # 880 and 200 review sentences that come with minibert
classifier = TextClassifier("minilm-l6", batch_size=8, epochs=1, lr=1e-4)  # a quick look
classifier.fit(train.texts, train.labels)

accuracy = classifier.score(development.texts, development.labels)
print(f"{accuracy:.0%} of {len(development)} new sentences are right")
texts = ["Wonderful", "A waste of time", "I loved every minute of it", "Dull and far too long"]
for text, scores in classifier.stream(texts):
    print(f"{classifier.classes_[scores.argmax()]} ({scores.max():.2f})  {text}")

classifier.save("output/reviews", overwrite=True)  # transformers opens this folder, too
